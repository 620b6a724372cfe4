"""OSCORE at the CoAP gateway: who a request is from, replays, restarts, observations and blocks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rimward.edge.gateways.coap import CoapConfig
from rimward.edge.gateways.coap.sequences import STRETCH
from rimward.protocols.coap import CoapError, Message, dotted, request, uint
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import GET, POST, PUT
from rimward.protocols.coap.oscore import Keys
from rimward.protocols.coap.oscore.compressed import compressed_of

from .coap_house import FAR, House, coap_house
from .oscore_support import ACCESS, METER_8, SECRET, Meter, access_of, book_of


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with coap_house(tmp_path, CoapConfig(), access=access_of()) as house:
        yield house


def number_of(sealed: Message) -> int | None:
    piv = compressed_of(sealed.get(opt.OSCORE) or b"").piv
    return None if piv is None else uint(piv)


async def test_a_request_by_oscore_has_the_devices_identity(house: House) -> None:
    assert (await Meter(house).call(GET, "who")).payload == b"meter-7 coap coap /who"
    assert (await Meter(house, METER_8).call(GET, "who")).payload == b"meter-8 coap coap /who"
    assert dotted((await house.call(GET, "who")).code) == "4.01", "without OSCORE it is anyone"


async def test_what_the_rules_do_not_allow_is_forbidden_and_told_inside(house: House) -> None:
    refused = await Meter(house).call(GET, "sum")
    assert (dotted(refused.code), refused.payload) == ("4.03", b"meter-7 may not ask for GET /sum")


async def test_nothing_of_an_exchange_can_be_read_outside(house: House) -> None:
    meter = Meter(house)
    await meter.call(PUT, "meters/7", b'{"kwh": 1}')
    meter.ask(request(GET, "meters/7"))
    assert meter.last is not None
    await house.until(lambda: bool(house.sent))
    [sealed] = house.heard()
    assert (meter.last.code, dotted(sealed.code)) == (POST, "2.04")
    assert [number for number, _ in (*meter.last.options, *sealed.options)] == [opt.OSCORE, opt.OSCORE]
    assert b"kwh" not in sealed.payload
    assert meter.opened(sealed).payload == b'{"kwh":1.0}'


async def test_the_first_request_after_a_start_is_challenged_and_not_executed(house: House) -> None:
    meter = Meter(house)
    meter.ask(request(PUT, "meters/7", b'{"kwh": 1}'))
    await house.until(lambda: bool(house.sent))
    [sealed] = house.heard()
    assert number_of(sealed) is not None, "its own nonce may have been used by an earlier process"
    challenge = meter.opened(sealed)
    assert (dotted(challenge.code), len(challenge.get(opt.ECHO) or b"")) == ("4.01", 12)
    assert house.bench.dispatcher.functions["write"].figures.calls == 0
    done = await meter.call(PUT, "meters/7", b'{"kwh": 1}')
    assert (dotted(done.code), done.payload) == ("2.04", b"")
    assert house.gateway.stats()["oscore_challenged"] == 2


async def test_the_echo_of_another_address_or_of_long_ago_is_no_proof(house: House) -> None:
    meter, thief = Meter(house), Meter(house, address=FAR)
    meter.ask(request(GET, "who"))
    echo = (await meter.answer()).get(opt.ECHO)
    assert echo is not None
    thief.sequence = 1
    thief.ask(request(GET, "who", more=[(opt.ECHO, echo)]))
    assert dotted((await thief.answer()).code) == "4.01"
    house.pass_time(house.gateway.config.verified_for + 1)
    meter.sequence = 2
    meter.ask(request(GET, "who", more=[(opt.ECHO, echo)]))
    assert dotted((await meter.answer()).code) == "4.01"


async def test_a_replay_is_refused_in_the_open(house: House) -> None:
    meter = Meter(house)
    await meter.call(POST, "echo", b"1")
    first = meter.last
    await meter.call(POST, "echo", b"2")
    for _ in range(2):
        assert first is not None
        house.ask(Message(first.code, b"r", first.options, first.payload))
        [refused] = house.heard()
        assert (dotted(refused.code), refused.payload) == ("4.01", b"replay detected")
        assert refused.options == [(opt.MAX_AGE, b"")]
    assert house.gateway.stats()["oscore_replays"] == 2
    assert house.bench.dispatcher.functions["echo"].figures.calls == 2


async def test_an_older_number_that_was_overtaken_is_taken_once(house: House) -> None:
    meter = Meter(house)
    await meter.call(POST, "echo", b"1")
    overtaken = meter.sequence
    meter.sequence += 1
    assert (await meter.call(POST, "echo", b"2")).payload == b"2"
    meter.sequence = overtaken
    assert (await meter.call(POST, "echo", b"3")).payload == b"3"


@pytest.mark.parametrize(
    ("keys", "code", "said"),
    [
        (Keys(b"\x09", b"", SECRET), "4.01", b"no security context has this key id"),
        (Keys(b"\x08", b"\x01", SECRET[::-1], context=b"x"), "4.01", b"no security context has this key id"),
        (Keys(b"\x07", b"", SECRET, b"wrong"), "4.00", b"the message does not decrypt"),
    ],
)
async def test_a_message_that_can_not_be_opened_is_refused_in_the_open(
    house: House, keys: Keys, code: str, said: bytes
) -> None:
    Meter(house, keys).ask(request(GET, "who"))
    [refused] = house.heard()
    assert (dotted(refused.code), refused.payload[: len(said)]) == (code, said)
    assert refused.options == [(opt.MAX_AGE, b"")]


async def test_an_option_that_can_not_be_read_is_a_bad_option(house: House) -> None:
    house.ask(Message(POST, options=[(opt.OSCORE, b"\xff")], payload=b"x"))
    [refused] = house.heard()
    assert dotted(refused.code) == "4.02"


async def test_no_number_is_used_twice_over_a_restart_and_none_before_the_disk_has_it(tmp_path: Path) -> None:
    used: list[int] = []
    for _ in range(3):
        async with coap_house(tmp_path, access=access_of()) as house:
            meter = Meter(house)
            meter.ask(request(GET, "who"))
            assert not house.sent, "the disk has not answered yet"
            await house.until(lambda house=house: bool(house.sent))
            number = number_of(house.heard()[0])
            assert number is not None
            used.append(number)
    assert used == [used[0], used[0] + STRETCH, used[0] + 2 * STRETCH]


async def test_a_disk_that_was_lost_brings_no_number_back(tmp_path: Path) -> None:
    used: list[int] = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        async with coap_house(tmp_path / place, access=access_of()) as house:
            wall = house.keeper._wall() + len(used) * 60_000_000_000  # a minute later
            house.keeper._wall = lambda wall=wall: wall
            Meter(house).ask(request(GET, "who"))
            await house.until(lambda house=house: bool(house.sent))
            used.append(number_of(house.heard()[0]) or 0)
    assert used[1] - used[0] == 60 * 256


async def test_numbers_go_on_over_many_stretches(house: House) -> None:
    numbers = house.gateway.serving.security.of_key(b"\x07", None)
    assert numbers is not None
    taken: list[int] = []
    while len(taken) < 3 * STRETCH:
        number = numbers.numbers.take()
        if number is None:
            await house.turn()
        else:
            taken.append(number)
    assert taken == list(range(taken[0], taken[0] + len(taken)))


async def test_notifications_are_protected_and_numbered_upwards(house: House) -> None:
    meter = Meter(house)
    await meter.call(PUT, "meters/7", b'{"kwh": 1}')
    first = await meter.call(GET, "meters/7", more=[(opt.OBSERVE, b"")])
    assert (first.get(opt.OBSERVE), first.payload) == (b"", b'{"kwh":1.0}')
    watching = meter.asking
    other = Meter(house)
    other.sequence = meter.sequence
    numbers: list[int] = []
    for kwh in (b"2", b"3"):
        await other.call(PUT, "meters/7", b'{"kwh": ' + kwh + b"}")
        [sealed] = await house.turn()
        meter.asking = watching
        number = number_of(sealed)
        assert number is not None
        numbers.append(number)
        assert dotted(sealed.code) == "2.05"
        assert uint(sealed.get(opt.OBSERVE) or b"") == number & 0xFFFFFF
        assert meter.opened(sealed).payload == b'{"kwh":' + kwh + b".0}"
    assert numbers == sorted(set(numbers))


async def test_who_only_knows_the_address_ends_nobodys_observation(house: House) -> None:
    meter = Meter(house)
    await meter.call(PUT, "meters/7", b'{"kwh": 1}')
    await meter.call(GET, "meters/7", more=[(opt.OBSERVE, b"")])
    assert meter.last is not None
    for rule in ("", '\n[[rule]]\nanyone = true\nrequest = ["GET /meters/7"]\nobserve = ["/meters/7"]\n'):
        house.gateway.serving.callers.access.replace(book_of(ACCESS + rule))
        for value in (b"\x01", b""):
            cancel = request(GET, "meters/7", more=[(opt.OBSERVE, value)])
            cancel.token = meter.last.token
            house.ask(cancel)
            house.heard()
    assert house.gateway.stats()["observers"] == 1


async def test_large_bodies_go_in_blocks_inside(house: House) -> None:
    meter = Meter(house)
    body = b"".join(
        [
            (await meter.call(GET, "large", more=[(opt.BLOCK2, bytes((number << 4 | 6,)))])).payload
            for number in range(5)
        ]
    )
    assert body == b"0123456789" * 500
    for number, more in ((0, 8), (1, 0)):
        block = [(opt.BLOCK1, bytes((number << 4 | more | 6,)))]
        found = await meter.call(POST, "echo", b"x" * 1024, more=block)
    assert found.payload[:3] == b"xxx"
    assert house.gateway.serving.assemblies.counters["bodies"] == 1


async def test_a_block_from_the_same_address_without_oscore_is_not_part_of_a_body(house: House) -> None:
    rule = '\n[[rule]]\nanyone = true\nrequest = ["POST /echo"]\n'
    house.gateway.serving.callers.access.replace(book_of(ACCESS + rule))
    meter = Meter(house)
    await meter.call(POST, "echo", b"x" * 1024, more=[(opt.BLOCK1, b"\x0e")])
    forged = await house.call(POST, "echo", b"y" * 1024, more=[(opt.BLOCK1, b"\x16")])
    assert dotted(forged.code) == "4.08"


async def test_an_answer_that_takes_its_time_is_protected_too(house: House) -> None:
    assert (await Meter(house).call(POST, "slow", b"later")).payload == b"later"


async def test_a_device_whose_keys_are_taken_away_is_told_and_hears_no_more(house: House) -> None:
    meter = Meter(house)
    await meter.call(PUT, "meters/7", b'{"kwh": 1}')
    await meter.call(GET, "meters/7", more=[(opt.OBSERVE, b"")])
    watching = meter.asking
    house.gateway.serving.callers.access.replace(book_of(ACCESS[ACCESS.index("[[device]]", 20) :]))
    other = Meter(house, METER_8)
    await other.call(PUT, "meters/7", b'{"kwh": 2}')
    [sealed] = await house.turn()
    meter.asking = watching
    goodbye = meter.opened(sealed)
    assert (dotted(goodbye.code), b"2.0" in goodbye.payload) == ("4.01", False)
    meter.ask(request(GET, "meters/7"))
    with pytest.raises(CoapError, match="not protected"):
        await meter.answer()


async def test_without_a_disk_nobody_comes_by_oscore(house: House) -> None:
    house.gateway.serving.security._numbers = None
    Meter(house).ask(request(GET, "who"))
    assert [dotted(message.code) for message in house.heard()] == ["4.01"]
