"""JSON Web Tokens: made by PyJWT with real keys, and by hand where no library would."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from rimward.edge.access import AccessError, Action, Credentials, DenialKind

from .access_support import LOCAL, NOON, SECOND, House, denied, device, known, living

SECRET = "s" * 40
NOW = NOON // SECOND
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
KEYS: dict[str, Private] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def public(algorithm: str) -> bytes:
    key = KEYS[algorithm].public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for algorithm in KEYS:
        (tmp_path / f"{algorithm}.pem").write_bytes(public(algorithm))
    (tmp_path / "HS256.pem").write_text(SECRET)
    return tmp_path


def issuer(algorithm: str, *more: str, key: str = "") -> str:
    lines = ['issuer = "https://id.example"', 'audience = "site"', *more]
    named = f'file = "{algorithm}.pem"\nalgorithm = "{algorithm}"\n{key}'
    return "[[jwt]]\n" + "\n".join(lines) + f"\n[[jwt.key]]\n{named}\n"


def token(algorithm: str = "HS256", *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    every = {"iss": "https://id.example", "aud": "site", "sub": "truck-1", "exp": NOW + 600, **claims}
    key = SECRET if algorithm == "HS256" else KEYS[algorithm]
    said = {name: value for name, value in every.items() if value is not None}
    return jwt.encode(said, key, algorithm, headers=headers)  # pyright: ignore[reportUnknownMemberType] -- its keys are partly unknown


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "HS256"])
async def test_a_token_of_an_issuer_that_is_named_makes_an_identity(algorithm: str, folder: Path) -> None:
    with living(issuer(algorithm), folder) as house:
        identity = known(await house.ask(Credentials(LOCAL, token=token(algorithm))))
        assert (identity.id, identity.badge.kind) == ("truck-1", "jwt")
        assert identity.may(Action.PUBLISH, "trucks/truck-1/temperature") is None
        assert identity.may(Action.PUBLISH, "trucks/truck-2/temperature") is not None
        password = Credentials(LOCAL, "truck-1", "unused", token(algorithm).encode())
        assert known(await house.ask(password)).owner == identity.owner
        assert denied(await house.ask(Credentials(LOCAL, "b", token=token(algorithm)))).kind == "client-id"


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"exp": NOW - 31}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": "never"}, "expired"),
        ({"exp": True}, "expired"),
        ({"nbf": NOW + 31}, "expired"),
        ({"nbf": "then"}, "expired"),
        ({"aud": "another"}, "credentials"),
        ({"aud": None}, "credentials"),
        ({"iss": "https://else.example"}, "credentials"),
        ({"iss": None}, "credentials"),
        ({"sub": None}, "credentials"),
        ({"sub": "a/+/b"}, "credentials"),
        ({"sub": "{user}"}, "credentials"),
        ({"sub": ""}, "credentials"),
    ],
)
async def test_what_a_token_claims_is_checked(claims: dict[str, Any], kind: str, folder: Path) -> None:
    with living(issuer("HS256"), folder) as house:
        assert denied(await house.ask(Credentials(LOCAL, token=token(**claims)))).kind == kind


async def test_clocks_may_differ_by_the_leeway_and_an_audience_may_be_one_of_several(folder: Path) -> None:
    with living(issuer("HS256"), folder) as house:
        fitting: tuple[dict[str, Any], ...] = (
            {"exp": NOW - 29}, {"nbf": NOW + 29}, {"aud": ["a", "site"]}
        )  # fmt: skip
        for claims in fitting:
            known(await house.ask(Credentials(LOCAL, token=token(**claims))))


async def test_the_algorithm_is_the_keys_never_the_tokens(folder: Path) -> None:
    claims = {"iss": "https://id.example", "aud": "site", "sub": "truck-1", "exp": NOW + 600}
    with living(issuer("RS256"), folder) as house:
        for header in ({"alg": "none"}, {"alg": "None"}, {"alg": "HS256"}, {"alg": "RS256"}, {}):
            denied(await house.ask(Credentials(LOCAL, token=by_hand(header, claims))))
        # a public key taken for a shared secret: the oldest of all tricks
        signed = by_hand({"alg": "HS256"}, claims).rpartition(".")[0]
        forged = hmac.digest(public("RS256"), signed.encode(), hashlib.sha256)
        denied(await house.ask(Credentials(LOCAL, token=by_hand({"alg": "HS256"}, claims, forged))))
        denied(await house.ask(Credentials(LOCAL, token=token("ES256"))))


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "eyJ.eyJ.eyJ", "e" * 9000, "\N{GREEK SMALL LETTER PI}.x.y"]
)
async def test_what_is_no_token_is_refused(text: str, folder: Path) -> None:
    with living(issuer("HS256"), folder) as house:
        denied(await house.ask(Credentials(LOCAL, token=text)))


async def test_a_token_with_critical_headers_that_nobody_knows_is_refused(folder: Path) -> None:
    with living(issuer("HS256"), folder) as house:
        denied(await house.ask(Credentials(LOCAL, token=token(headers={"crit": ["x"], "x": 1}))))


async def test_a_key_with_an_id_serves_the_tokens_that_name_it(folder: Path) -> None:
    with living(issuer("HS256", key='id = "one"'), folder) as house:
        known(await house.ask(Credentials(LOCAL, token=token(headers={"kid": "one"}))))
        denied(await house.ask(Credentials(LOCAL, token=token(headers={"kid": "two"}))))
        denied(await house.ask(Credentials(LOCAL, token=token())))


async def test_user_roles_and_rules_may_come_with_the_token(folder: Path) -> None:
    names = ('user_claim = "name"', 'roles_claim = "groups"', 'rules_claim = "acl"', 'roles = ["all"]')
    rule = '[[rule]]\nroles = ["reader"]\nsubscribe = ["shared/{user}"]\n'
    with living(issuer("HS256", *names) + rule, folder) as house:
        rich = token(name="ann", groups=["reader"], acl=[{"publish": ["up/{client}"]}])
        identity = known(await house.ask(Credentials(LOCAL, token=rich)))
        assert (identity.user, identity.badge.roles) == ("ann", ("all", "reader"))
        assert identity.may(Action.PUBLISH, "up/truck-1") is None
        assert identity.may(Action.RECEIVE, "shared/ann") is None
        assert identity.may(Action.PUBLISH, "trucks/truck-1/temperature") is not None, "rules replace"
        assert (
            known(await house.ask(Credentials(LOCAL, token=token(groups="reader")))).badge.roles[-1]
            == "reader"
        )
        wrong: tuple[dict[str, Any], ...] = (
            {"groups": 3}, {"acl": [{"publish": ["a#"]}]}, {"acl": {}}, {"name": "a/b"}
        )  # fmt: skip
        for claims in wrong:
            denied(await house.ask(Credentials(LOCAL, token=token(**claims))))


async def test_a_token_ends_while_its_connection_lives(folder: Path) -> None:
    with living(issuer("HS256", "leeway = 0"), folder) as house:
        told: list[int] = []
        house.access.changed.append(lambda: told.append(1))
        house.access.look_for_ends()
        assert not told, "nobody has shown a token"
        identity = known(await house.ask(Credentials(LOCAL, token=token())))
        house.access.look_for_ends()
        assert told
        assert known(house.access.renew(identity)) == identity
        house.pass_time(601)
        assert denied(house.access.renew(identity)).kind is DenialKind.EXPIRED
        denied(await house.ask(Credentials(LOCAL, token=token())))  # though it was verified before


async def test_an_identity_ends_with_the_key_that_verified_it(folder: Path) -> None:
    with living(issuer("HS256"), folder) as house:
        identity = known(await house.ask(Credentials(LOCAL, token=token())))
        house.rewrite(issuer("HS256"))
        known(house.access.renew(identity))
        (folder / "HS256.pem").write_text("t" * 40)
        house.rewrite(issuer("HS256"))
        assert denied(house.access.renew(identity)).kind is DenialKind.CREDENTIALS
        denied(await house.ask(Credentials(LOCAL, token=token())))  # though it was verified before


async def test_a_token_without_any_issuer_is_refused() -> None:
    with living(device("truck-1")) as house:
        denied(await house.ask(Credentials(LOCAL, token=token())))


@pytest.mark.parametrize(
    ("content", "algorithm", "rule"),
    [
        (b"short", "HS256", "a shared secret has at least 32 bytes"),
        (b"-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", "RS256", "it is no key of RS256"),
        (public("RS256"), "ES256", "it is no key of ES256"),
        (b"-----BEGIN PRIVATE KEY-----\n", "RS256", "it is a private key"),
        (None, "RS256", "it can't be read"),
    ],
)
def test_a_key_that_is_none_is_told_with_its_place(
    content: bytes | None, algorithm: str, rule: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / f"{algorithm}.pem").write_bytes(content)
    with pytest.raises(AccessError) as caught:
        House(issuer(algorithm), tmp_path)
    assert "jwt[0].key[0].file" in str(caught.value)
    assert rule in str(caught.value)


def test_the_clock_of_these_tests_is_not_the_machines() -> None:
    assert abs(NOW - time.time()) > 60, "else a check by the wrong clock would pass"
