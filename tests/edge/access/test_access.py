"""Who somebody is: by password, token of ours, certificate or nothing; and who only says so."""

import asyncio
from base64 import b64encode

import pytest

from rimward.edge.access import Access, Action, Badge, Credentials, Denial, DenialKind, Identity
from rimward.edge.access.book import digest_of
from rimward.edge.access.scram import scram_keys
from rimward.edge.gateways.peers import Peer

from .access_support import LOCAL, PATIENCE, certificate, cheap, denied, device, known, living

TOKEN = "rim_" + "x" * 40


async def test_without_a_file_everybody_is_whoever_they_say_and_nothing_is_asked() -> None:
    answers: list[Identity | Denial] = []
    access = Access(None, lambda: 0)
    assert access.identify(Credentials(LOCAL, "truck-1", "ann", b"x"), answers.append) is None
    identity = known(answers[0])
    assert identity.free
    assert identity.anonymous
    assert (identity.id, identity.user) == ("truck-1", None)
    assert identity.may(Action.PUBLISH, "anything") is None
    assert access.open


async def test_a_site_of_a_test_believes_user_names() -> None:
    answers: list[Identity | Denial] = []
    Access(None, lambda: 0, believe=True).identify(Credentials(LOCAL, "truck-1", "ann"), answers.append)
    assert known(answers[0]).user == "ann"


async def test_a_password_that_is_right_makes_the_device() -> None:
    with living(device("truck-1", user='"fleet"', roles='["sensor"]')) as house:
        identity = known(await house.login("truck-1", "secret"))
        assert (identity.id, identity.user, identity.badge.roles) == ("truck-1", "fleet", ("sensor",))
        assert not identity.anonymous
        assert known(await house.login("fleet", "secret", "truck-1")).owner == identity.owner


@pytest.mark.parametrize(
    ("username", "password"), [("truck-1", "wrong"), ("nobody", "secret"), ("truck-1", ""), ("", "secret")]
)
async def test_what_is_wrong_is_refused_in_the_same_words(username: str, password: str) -> None:
    with living(device("truck-1")) as house:
        denial = denied(await house.login(username, password))
        assert (denial.kind, denial.detail) == (DenialKind.CREDENTIALS, "the credentials are not accepted")


async def test_a_password_is_hashed_once_and_then_remembered_for_a_while() -> None:
    with living(device("truck-1"), remember=60.0) as house:
        answers: list[Identity | Denial] = []
        credentials = Credentials(LOCAL, "", "truck-1", b"secret")
        known(await house.ask(credentials))
        assert house.access.identify(credentials, answers.append) is None, "it is answered at once"
        known(answers[0])
        wrong = house.access.identify(Credentials(LOCAL, "", "truck-1", b"wrong"), answers.append)
        assert wrong is not None, "it is hashed: what was right is remembered, not the name"
        wrong.cancel()
        house.pass_time(61)
        again = house.access.identify(credentials, answers.append)
        assert again is not None
        again.cancel()
        assert len(answers) == 1


async def test_a_name_that_nobody_has_is_hashed_as_well() -> None:
    with living(device("truck-1")) as house:
        pending = house.access.identify(Credentials(LOCAL, "", "nobody", b"secret"), lambda _: None)
        assert pending is not None
        pending.cancel()


async def test_who_has_gone_is_not_answered() -> None:
    with living(device("truck-1"), threads=1) as house:
        answers: list[Identity | Denial] = []
        gone = house.access.identify(Credentials(LOCAL, "", "truck-1", b"secret"), answers.append)
        assert gone is not None
        gone.cancel()
        known(await house.login("truck-1", "secret"))
        assert not answers
        assert house.access.stats()["passwords_waiting"] == 0


async def test_more_passwords_than_may_wait_are_told_to_come_later() -> None:
    with living(device("truck-1"), threads=1, waiting=2) as house:
        answers: list[Identity | Denial] = []
        every = [
            house.access.identify(Credentials(LOCAL, "", "truck-1", b"x%d" % number), answers.append)
            for number in range(3)
        ]
        assert every[2] is None
        denial = denied(answers[0])
        assert (denial.kind, denial.retry_after) == (DenialKind.BUSY, 1.0)
        assert house.access.stats()["passwords_refused"] == 1
        async with asyncio.timeout(PATIENCE):
            while len(answers) < 3:  # noqa: ASYNC110 (the pool answers in its time)
                await asyncio.sleep(0)


async def test_an_address_that_fails_too_often_waits_and_others_do_not() -> None:
    with living(device("truck-1")) as house:
        for _ in range(6):
            assert denied(await house.login("truck-1", "wrong", address="10.0.0.1")).kind == "credentials"
        late = denied(await house.login("truck-1", "secret", address="10.0.0.1"))
        assert late.kind is DenialKind.THROTTLED
        assert late.retry_after >= 1.0
        known(await house.login("truck-1", "secret", address="10.0.0.2"))
        known(await house.login("truck-1", "secret", address="10.0.0.1"))  # what was right is let in
        house.pass_time(2)
        known(await house.login("truck-1", "secret", address="10.0.0.1"))
        assert house.access.stats()["throttled"] == 1
        assert house.access.stats()["addresses_failing"] == 1


async def test_a_client_id_belongs_to_its_device() -> None:
    text = device("truck-1") + device("fleet", clients='["boat-*", "pier"]')
    with living(text) as house:
        known(await house.login("truck-1", "secret", "truck-1"))
        other = denied(await house.login("truck-1", "secret", "truck-2"))
        assert other.kind is DenialKind.CLIENT_ID
        for client_id in ("boat-1", "pier", "fleet"):
            assert known(await house.login("fleet", "secret", client_id)).id == client_id
        for client_id in ("truck-1", "pier-2", "boat-/x", "boat-+"):
            assert denied(await house.login("fleet", "secret", client_id)).kind is DenialKind.CLIENT_ID


async def test_devices_that_share_a_user_are_told_apart_by_their_client_id() -> None:
    text = device("a", "one", user='"fleet"') + device("b", "two", user='"fleet"')
    with living(text) as house:
        assert known(await house.login("fleet", "two", "b")).id == "b"
        denied(await house.login("fleet", "two", "a"))
        denied(await house.login("fleet", "two"))


async def test_a_token_of_ours_comes_as_bearer_or_as_a_password() -> None:
    with living(device("gate", None, token=f'"{digest_of(TOKEN)}"')) as house:
        assert known(await house.ask(Credentials(LOCAL, token=TOKEN))).id == "gate"
        assert known(await house.login("gate", TOKEN, "gate")).id == "gate"
        assert known(await house.login("", TOKEN, "gate")).id == "gate"
        denied(await house.login("somebody", TOKEN, "gate"))
        denied(await house.ask(Credentials(LOCAL, token=TOKEN + "x")))


@pytest.mark.parametrize(
    ("written", "peer"),
    [
        ("sha256:" + "ab" * 32, certificate("anything")),
        ("subject:truck-1.example", certificate("truck-1.example")),
        ("name:truck-1.example", certificate("x", "other", "truck-1.example")),
    ],
)
async def test_a_certificate_is_known_by_fingerprint_subject_or_name(written: str, peer: Peer) -> None:
    with living(device("truck-1", None, certificate=f'"{written}"')) as house:
        assert known(await house.ask(Credentials(peer, "truck-1"))).id == "truck-1"
        assert denied(await house.ask(Credentials(peer, "truck-2"))).kind is DenialKind.CLIENT_ID
        stranger = certificate("stranger", fingerprint="cd" * 32)
        assert known(await house.ask(Credentials(stranger))).anonymous


async def test_every_verified_certificate_may_be_let_in_by_its_subject() -> None:
    with living('[certificates]\nid = "subject"\nroles = ["sensor"]\n') as house:
        identity = known(await house.ask(Credentials(certificate("truck-1"), "truck-1")))
        assert (identity.id, identity.badge.roles) == ("truck-1", ("sensor",))
        assert denied(await house.ask(Credentials(certificate("a"), "b"))).kind is DenialKind.CLIENT_ID
        assert known(await house.ask(Credentials(certificate("a/+/b")))).anonymous


async def test_what_is_shown_on_purpose_goes_before_the_certificate_and_is_not_passed_over() -> None:
    text = device("truck-1") + device("proxy", None, certificate='"subject:proxy"')
    with living(text) as house:
        peer = certificate("proxy")
        answer = await house.ask(Credentials(peer, "truck-1", "truck-1", b"secret"))
        assert known(answer).id == "truck-1"
        denied(await house.ask(Credentials(peer, "", "truck-1", b"wrong")))
        assert known(await house.ask(Credentials(peer, "", "a name alone"))).id == "proxy"


async def test_a_name_without_a_password_is_not_taken_for_nobody() -> None:
    with living(device("truck-1")) as house:
        denied(await house.ask(Credentials(LOCAL, "truck-1", "truck-1")))
        nobody = known(await house.ask(Credentials(LOCAL, "truck-1")))
        assert nobody.anonymous
        assert nobody.may(Action.PUBLISH, "open") is not None


async def test_a_password_that_was_changed_while_it_was_hashed_is_not_good_any_more() -> None:
    with living(device("truck-1")) as house:
        answer: asyncio.Future[Identity | Denial] = asyncio.get_running_loop().create_future()
        house.access.identify(Credentials(LOCAL, "", "truck-1", b"secret"), answer.set_result)
        house.rewrite(device("truck-1", "another"))
        async with asyncio.timeout(PATIENCE):
            denied(await answer)


async def test_scram_proves_a_password_without_showing_it_and_tells_no_name_apart() -> None:
    keys = scram_keys(b"secret", b"0123456789abcdef", 4096)
    parts = {"salt": keys.salt, "stored_key": keys.stored_key, "server_key": keys.server_key}
    table = ", ".join(f'{name} = "{b64encode(value).decode()}"' for name, value in parts.items())
    with living(device("truck-1", None, scram=f"{{ iterations = 4096, {table} }}")) as house:
        access, said = house.access, Credentials(LOCAL, "truck-1", "truck-1")
        assert access.scram_keys("truck-1") == keys
        identity = known(access.scram_ended(said, keys, proved=True))
        assert identity.id == "truck-1"
        assert known(access.renew(identity)) == identity
        denied(access.scram_ended(said, keys, proved=False))
        nobodys = access.scram_keys("nobody")
        assert nobodys == access.scram_keys("nobody"), "or the salt would tell that nobody has the name"
        assert len(nobodys.salt) == len(keys.salt)
        denied(access.scram_ended(Credentials(LOCAL, "", "nobody"), nobodys, proved=True))


async def test_a_reload_renews_ends_and_tells() -> None:
    text = device("truck-1") + device("truck-2")
    with living(text) as house:
        told: list[int] = []
        house.access.changed.append(lambda: told.append(1))
        first = known(await house.login("truck-1", "secret"))
        second = known(await house.login("truck-2", "secret"))
        assert first.may(Action.PUBLISH, "new") is not None
        rule = '[[rule]]\ndevices = ["truck-1"]\npublish = ["new"]\n'
        house.rewrite(device("truck-1", roles='["x"]') + device("truck-2", "another") + rule)
        assert told == [1]
        renewed = known(house.access.renew(first))
        assert renewed.may(Action.PUBLISH, "new") is None
        assert renewed.badge.roles == ("x",)
        assert denied(house.access.renew(second)).kind is DenialKind.CREDENTIALS
        house.rewrite(device("truck-2"))
        denied(house.access.renew(first))


async def test_a_session_from_the_disk_gets_its_identity_back_or_not() -> None:
    with living(device("truck-1")) as house:
        identity = known(await house.login("truck-1", "secret"))
        assert known(house.access.restored(identity.badge)) == identity
        denied(house.access.restored(Badge("device", "truck-9", None, "truck-9", identity.badge.proof)))
        assert known(house.access.restored(Badge("free", "x"))).grants is not None, "free no more"


async def test_sessions_belong_to_their_owner_and_nobodys_to_who_shows_who_it_is() -> None:
    with living(device("truck-1") + device("fleet", clients='["truck-*"]')) as house:
        own = known(await house.login("truck-1", "secret", "truck-1"))
        fleet = known(await house.login("fleet", "secret", "truck-1"))
        nobody = known(await house.ask(Credentials(LOCAL, "truck-1")))
        assert own.may_take_over(own)
        assert own.may_take_over(nobody)
        assert not fleet.may_take_over(own)
        assert not nobody.may_take_over(own)


def test_hashes_of_other_kinds_are_no_passwords() -> None:
    assert cheap("secret").startswith("$argon2id$")
