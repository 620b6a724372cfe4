"""What the CoAP gateway says to devices: replies, refusals, conditions, blocks and observations."""

from collections.abc import AsyncIterator
from pathlib import Path

import cbor2
import pytest

from rimward.edge.gateways.coap import CoapConfig
from rimward.protocols.coap import Block, BlockLimits, Bounds, dotted, request, uint
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import (
    ACK,
    CON,
    CONTENT,
    DELETE,
    FETCH,
    GET,
    NON,
    PATCH,
    POST,
    PUT,
    RST,
    VALID,
)  # fmt: skip
from rimward.protocols.coap.options import block_of

from .coap_house import FAR, NEAR, House, coap_house, numbers


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with coap_house(tmp_path) as house:
        yield house


async def test_a_returned_value_is_the_response_and_none_an_empty_success(house: House) -> None:
    posted = await house.call(POST, "meters/7?times=2", b'{"kwh": 1.5}', content_format=50)
    assert (dotted(posted.code), posted.payload) == ("2.04", b'{"kwh":3.0}')
    assert uint(numbers(posted.options)[opt.CONTENT_FORMAT]) == 50
    put = await house.call(PUT, "meters/7", b'{"kwh": 5}')
    assert (dotted(put.code), put.payload, put.options) == ("2.04", b"", [])
    got = await house.call(GET, "meters/7")
    assert (dotted(got.code), got.payload) == ("2.05", b'{"kwh":5.0}')
    deleted = await house.call(DELETE, "meters/7")
    assert dotted(deleted.code) == "2.02"
    fetched = await house.call(FETCH, "meters", b'["7", "8"]', content_format=50)
    assert (dotted(fetched.code), fetched.payload) == ("2.05", b"[0.0]")


async def test_the_function_sees_who_sent_it_and_by_what(house: House) -> None:
    answer = await house.call(GET, "who")
    assert answer.payload == b"127.0.0.1 coap coap /who"
    assert uint(numbers(answer.options)[opt.CONTENT_FORMAT]) == 0


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, "2.04"), (201, "2.01"), (202, "2.04"), (204, "2.04"), (304, "2.03"), (302, "5.00"),
        (400, "4.00"), (401, "4.01"), (404, "4.04"), (409, "4.09"), (410, "4.00"), (422, "4.22"),
        (429, "4.29"), (500, "5.00"), (503, "5.03"), (599, "5.00"),
    ],
)  # fmt: skip
async def test_a_status_has_one_code(house: House, status: int, code: str) -> None:
    assert dotted((await house.call(POST, f"status/{status}")).code) == code


async def test_what_was_made_is_told_where_it_is(house: House) -> None:
    answer = await house.call(POST, "status/201")
    assert answer.options == [
        (opt.LOCATION_PATH, b"made"), (opt.LOCATION_PATH, b"1"), (opt.LOCATION_QUERY, b"by=me"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "payload", "code", "told"),
    [
        ("meters/7", b'{"kwh": "x"}', "4.22", "Expected `float`, got `str` - at `$.kwh`"),
        ("meters/seven", b'{"kwh": 1}', "4.22", "meter is 'seven', it must be int"),
        ("meters/7?times=x", b'{"kwh": 1}', "4.22", "times"),
        ("refuse/invalid", b"", "4.00", "because"),
        ("refuse/denied", b"", "4.03", "because"),
        ("refuse/not-found", b"", "4.04", "because"),
        ("refuse/conflict", b"", "4.09", "because"),
        ("refuse/busy", b"", "5.03", "because"),
        ("fail", b"", "5.00", "fail raised RuntimeError"),
        ("nothing", b"", "4.04", "no function serves this path"),
        ("who", b"", "4.05", "this path serves GET"),
    ],
)
async def test_a_refusal_is_told_in_coap_words_with_its_reason(
    house: House, path: str, payload: bytes, code: str, told: str
) -> None:
    answer = await house.call(POST, path, payload, content_format=50)
    assert dotted(answer.code) == code
    assert told in answer.payload.decode()
    assert numbers(answer.options).get(opt.MAX_AGE) == (b"\1" if code == "5.03" else None)


async def test_a_device_speaks_cbor_and_is_answered_in_it(house: House) -> None:
    body = cbor2.dumps({"kwh": 2.5})
    answer = await house.call(POST, "meters/7", body, content_format=60)
    assert (cbor2.loads(answer.payload), uint(numbers(answer.options)[opt.CONTENT_FORMAT])) == (
        {"kwh": 2.5},
        60,
    )
    asked = await house.call(GET, "meters/7", accept=60)
    assert cbor2.loads(asked.payload) == {"kwh": 2.5}


@pytest.mark.parametrize(
    ("accept", "code"),
    [(50, "2.05"), (0, "4.06"), (999, "4.06"), (42, "4.06")],
)
async def test_what_can_not_be_written_is_not_acceptable(house: House, accept: int, code: str) -> None:
    assert dotted((await house.call(GET, "meters/7", accept=accept)).code) == code


async def test_a_content_format_that_can_not_be_read_is_unsupported(house: House) -> None:
    assert dotted((await house.call(POST, "meters/7", b"x", content_format=999)).code) == "4.15"
    assert (await house.call(POST, "echo", b"x", content_format=999)).payload == b"x"


async def test_a_method_that_coap_does_not_have_is_not_allowed(house: House) -> None:
    assert dotted((await house.call(31, "meters/7")).code) == "4.05"
    assert dotted((await house.call(PATCH, "meters/7", b"{}")).code) == "4.05"


@pytest.mark.parametrize("segments", [["meters", "a/b"], ["meters", "+"], ["meters", "#"], ["$sys", "x"]])
async def test_a_segment_that_hides_a_wildcard_is_refused(house: House, segments: list[str]) -> None:
    message = request(GET, "")
    message.options = [(opt.URI_PATH, one.encode()) for one in segments]
    house.ask(message)
    [answer] = house.heard()
    assert dotted(answer.code) == "4.00"


async def test_an_option_that_is_not_understood_is_told_or_reset(house: House) -> None:
    assert dotted((await house.call(GET, "who", more=[(9, b"")])).code) == "4.02"
    house.ask(request(GET, "who", more=[(9, b"")]), kind=NON)
    assert [(one.type, one.code) for one in house.heard()] == [(RST, 0)]
    assert dotted((await house.call(GET, "who", more=[(opt.PROXY_SCHEME, b"http")])).code) == "5.05"


async def test_a_foreign_host_is_refused_where_hosts_are_named(tmp_path: Path) -> None:
    async with coap_house(tmp_path, CoapConfig(hosts=("node.example",))) as house:
        for host, code in (("node.example", "2.05"), ("localhost", "2.05"), ("evil.example", "5.05")):
            assert dotted((await house.call(GET, "who", more=[(opt.URI_HOST, host.encode())])).code) == code


async def test_who_wants_no_response_gets_none(house: House) -> None:
    house.ask(request(PUT, "meters/7", b'{"kwh": 5}', more=[(opt.NO_RESPONSE, b"\2")]))
    assert [(one.type, one.code) for one in house.heard()] == [(ACK, 0)]
    house.ask(request(PUT, "meters/7", b"{", more=[(opt.NO_RESPONSE, b"\2")]), kind=NON)
    await house.until(lambda: bool(house.sent))
    assert [dotted(one.code) for one in house.heard()] == ["4.22"]


async def test_a_group_is_answered_only_where_there_is_something_to_say(house: House) -> None:
    house.ask(request(GET, "nothing"), kind=NON, quiet=True)
    house.ask(request(GET, ".well-known/core?rt=none"), kind=NON, quiet=True)
    house.ask(request(GET, ".well-known/core?rt=who"), kind=NON, quiet=True)
    assert [one.payload for one in house.heard()] == [b'</who>;rt="who";if="get";ct=0;obs']


# -- once


async def test_a_request_that_is_sent_again_runs_its_function_once(house: House) -> None:
    mid = house.ask(request(POST, "meters/7", b'{"kwh": 1}'))
    for _ in range(3):
        house._mid = mid - 1
        house.ask(request(POST, "meters/7", b'{"kwh": 1}'))
    assert [one.payload for one in house.heard()] == [b'{"kwh":1.0}'] * 4
    assert house.gateway.stats()["duplicates"] == 3


async def test_the_answer_waits_for_the_disk_and_rides_on_the_acknowledgement(house: House) -> None:
    house.ask(request(POST, "facts/7", b'{"celsius": 9.5}'))
    assert house.heard() == []
    await house.until(lambda: bool(house.sent))
    [answer] = house.heard()
    assert (answer.type, dotted(answer.code)) == (ACK, "2.04")


async def test_a_slow_function_is_acknowledged_first(house: House) -> None:
    house.ask(request(POST, "slow", b"x"))
    house.pass_time(0.5)
    await house.until(lambda: len(house.sent) == 2)
    first, second = house.heard()
    assert [(first.type, first.code), (second.type, dotted(second.code))] == [(ACK, 0), (CON, "2.04")]
    house.acknowledge(second)
    assert house.gateway.datagrams.busy == 0


async def test_who_has_too_much_under_way_is_told_to_come_later(tmp_path: Path) -> None:
    async with coap_house(tmp_path, CoapConfig(bounds=Bounds(pending_of_peer=3), retry_after=7)) as house:
        for n in range(5):
            house.ask(request(POST, "slow", b"%d" % n))
        refused = house.heard()
        assert [(dotted(one.code), numbers(one.options)[opt.MAX_AGE]) for one in refused] == [
            ("5.03", b"\7")
        ] * 2
        assert dotted((await house.call(GET, "who", address=("127.0.0.1", 1))).code) == "2.05"
        assert house.gateway.stats()["overloaded"] == 2


# -- conditions


async def test_who_has_the_representation_already_is_told_that_it_is_valid(house: House) -> None:
    first = await house.call(GET, "large", more=[(opt.BLOCK2, Block(0, more=False, szx=6).encode())])
    etag = numbers(first.options)[opt.ETAG]
    again = await house.call(GET, "large", more=[(opt.ETAG, b"other"), (opt.ETAG, etag)])
    assert (again.code, again.payload, numbers(again.options)[opt.ETAG]) == (VALID, b"", etag)


async def test_a_condition_is_checked_before_the_function_runs(house: House) -> None:
    await house.call(PUT, "meters/7", b'{"kwh": 5}')
    for option, code in (
        ((opt.IF_NONE_MATCH, b""), "4.12"),
        ((opt.IF_MATCH, b"wrong"), "4.12"),
        ((opt.IF_MATCH, b""), "2.04"),
    ):
        answer = await house.call(PUT, "meters/7", b'{"kwh": 6}', more=[option])
        assert dotted(answer.code) == code
    assert dotted((await house.call(POST, "echo", b"x", more=[(opt.IF_MATCH, b"")])).code) == "4.02"


# -- blocks


async def test_a_large_response_comes_in_blocks_of_one_state(house: House) -> None:
    body, number = b"", 0
    etags: set[bytes] = set()
    while True:
        more = [(opt.BLOCK2, Block(number, more=False, szx=6).encode())]
        answer = await house.call(GET, "large", more=more)
        found = numbers(answer.options)
        etags.add(found[opt.ETAG])
        block = block_of(found[opt.BLOCK2], bert=False)
        assert block.number == number
        body += answer.payload
        if not block.more:
            break
        number += 1
    assert (body, number, len(etags)) == (b"0123456789" * 500, 4, 1)
    assert house.bench.dispatcher.functions["large"].figures.calls == 1


async def test_a_large_body_is_put_together_and_its_response_comes_in_blocks(house: House) -> None:
    body, rest = bytes(range(256)) * 10, b""
    for number in range(3):
        part = body[number * 1024 : (number + 1) * 1024]
        more = [(opt.BLOCK1, Block(number, more=number < 2, szx=6).encode())]
        answer = await house.call(POST, "echo", part, more=more, content_format=42)
        assert dotted(answer.code) == ("2.31" if number < 2 else "2.04")
        assert block_of(numbers(answer.options)[opt.BLOCK1], bert=False).number == number
        assert answer.payload == (b"" if number < 2 else body[:1024])
    for number in (1, 2):
        more = [(opt.BLOCK2, Block(number, more=False, szx=6).encode())]
        rest += (await house.call(POST, "echo", more=more, content_format=42)).payload
    assert rest == body[1024:]
    assert house.bench.dispatcher.functions["echo"].figures.calls == 1


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ([(opt.BLOCK1, Block(1, more=True, szx=6).encode())], "4.08"),
        ([(opt.BLOCK1, Block(0, more=True, szx=6).encode()), (opt.SIZE1, b"\xff\xff\xff")], "4.13"),
        ([(opt.BLOCK2, Block(9, more=False, szx=6).encode())], "4.08"),
    ],
)
async def test_blocks_that_do_not_fit_are_refused(house: House, more: opt.Options, code: str) -> None:
    answer = await house.call(POST, "echo", b"x" * 1024, more=more)
    assert dotted(answer.code) == code
    assert (opt.SIZE1 in numbers(answer.options)) == (code == "4.13")


async def test_a_block_behind_the_end_is_a_bad_request(house: House) -> None:
    more = [(opt.BLOCK2, Block(99, more=False, szx=6).encode())]
    assert dotted((await house.call(GET, "large", more=more)).code) == "4.00"


async def test_a_body_that_is_too_large_at_once_is_told_how_large_it_may_be(tmp_path: Path) -> None:
    async with coap_house(tmp_path, CoapConfig(blocks=BlockLimits(body=100))) as house:
        answer = await house.call(POST, "echo", b"x" * 101)
        assert (dotted(answer.code), uint(numbers(answer.options)[opt.SIZE1])) == ("4.13", 100)


# -- who an address belongs to


async def test_a_forged_address_gets_no_more_than_three_times_what_was_sent(house: House) -> None:
    message = request(GET, "large")
    house.ask(message, FAR)
    assert house.sizes[-1] <= 136
    [answer] = house.heard()
    echo = numbers(answer.options)[opt.ECHO]
    forged = await house.call(GET, "large", address=("198.51.100.8", 1), more=[(opt.ECHO, echo)])
    assert len(forged.payload) < 100
    known = await house.call(GET, "large", address=FAR, more=[(opt.ECHO, echo)])
    assert len(known.payload) == 1024
    house.pass_time(601)
    assert len((await house.call(GET, "large", address=FAR, more=[(opt.ECHO, echo)])).payload) < 100
    assert house.gateway.stats()["held_small"] == 3


async def test_a_small_answer_to_a_far_peer_is_whole_and_every_block_of_a_large_one_is_there(
    house: House,
) -> None:
    assert (await house.call(GET, "meters/7", address=FAR)).payload == b'{"kwh":0.0}'
    first = await house.call(GET, "large", address=FAR)
    block, body = block_of(numbers(first.options)[opt.BLOCK2], bert=False), first.payload
    while block.more:
        more = [(opt.BLOCK2, Block(block.number + 1, more=False, szx=block.szx).encode())]
        answer = await house.call(GET, "large", address=FAR, more=more)
        block = block_of(numbers(answer.options)[opt.BLOCK2], bert=False)
        body += answer.payload
    assert body == b"0123456789" * 500
    assert max(house.sizes) <= 136


# -- Observe


async def test_an_observer_hears_of_each_committed_change_of_what_its_get_reads(house: House) -> None:
    first = await house.observe("meters/7")
    assert (first.type, first.payload, numbers(first.options)[opt.OBSERVE]) == (ACK, b'{"kwh":0.0}', b"\2")
    await house.call(PUT, "meters/7", b'{"kwh": 5}')
    [told] = await house.turn()
    assert (told.token, told.payload, told.code) == (b"obs", b'{"kwh":5.0}', CONTENT)
    assert numbers(told.options)[opt.OBSERVE] == b"\3"
    await house.call(PUT, "meters/8", b'{"kwh": 6}')  # another one's
    await house.call(PUT, "meters/7", b'{"kwh": 5}')  # the same again
    assert await house.turn() == []


async def test_who_observes_all_cells_hears_of_each(house: House) -> None:
    await house.observe("sum")
    await house.call(PUT, "meters/7", b'{"kwh": 5}')
    await house.call(PUT, "meters/8", b'{"kwh": 6}')
    assert [one.payload for one in await house.turn()] == [b"11.0"]


async def test_a_change_that_is_refused_is_not_told(house: House) -> None:
    await house.observe("meters/7")
    assert dotted((await house.call(PUT, "meters/7", b"{")).code) == "4.22"
    assert await house.turn() == []


async def test_an_observer_hears_when_a_function_publishes_to_the_topic_of_its_path(house: House) -> None:
    before = house.bench.dispatcher.router
    first = await house.observe("note")
    assert first.payload == b"first"
    await house.call(PUT, "note", b"second", content_format=0)
    assert [one.payload for one in await house.turn()] == [b"second"]
    house.ask(request(GET, "note", more=[(opt.OBSERVE, b"\1")]))
    assert len(house.heard()) == 1
    assert house.gateway.stats()["observers"] == 1, "another token"
    message = request(GET, "note", more=[(opt.OBSERVE, b"\1")])
    message.token = b"obs"
    house.ask(message)
    assert house.gateway.stats()["observers"] == 0
    assert house.bench.dispatcher.router is before, "publishing is as cheap as before"


async def test_a_seldom_notification_waits_for_its_acknowledgement_and_the_newest_state_follows(
    house: House,
) -> None:
    await house.observe("meters/7")
    house.pass_time(61)
    await house.call(PUT, "meters/7", b'{"kwh": 1}')
    [told] = await house.turn()
    assert told.type == CON
    for kwh in (2, 3, 4):
        await house.call(PUT, "meters/7", b'{"kwh": %d}' % kwh)
    assert await house.turn() == []
    house.acknowledge(told)
    [newest] = await house.turn()
    assert (newest.type, newest.payload) == (NON, b'{"kwh":4.0}')


@pytest.mark.parametrize("seconds", [0, 61])
async def test_a_reset_ends_the_observation(house: House, seconds: float) -> None:
    await house.observe("meters/7")
    house.pass_time(seconds)
    await house.call(PUT, "meters/7", b'{"kwh": 1}')
    [told] = await house.turn()
    assert told.type == (CON if seconds else NON)
    house.acknowledge(told, RST)
    await house.call(PUT, "meters/7", b'{"kwh": 2}')
    assert await house.turn() == []
    assert (house.gateway.stats()["observers"], house.gateway.stats()["observe_cancelled"]) == (0, 1)


async def test_a_forged_observer_is_sent_few_bytes_and_dropped_with_all_it_observes(house: House) -> None:
    for n in range(5):
        await house.observe("meters/7", bytes((n,)), FAR)
    await house.call(PUT, "meters/7", b'{"kwh": 1}')
    assert {one.type for one in await house.turn()} == {CON}
    house.pass_time(100)
    assert len(house.heard()) == 4, "one is sent again at its times, and the others wait for their turn"
    assert house.gateway.stats()["observers"] == 0


async def test_a_far_observer_that_acknowledges_is_known_from_then_on(house: House) -> None:
    await house.observe("meters/7", address=FAR)
    await house.call(PUT, "meters/7", b'{"kwh": 1}')
    [told] = await house.turn()
    assert told.type == CON
    house.acknowledge(told, address=FAR)
    await house.call(PUT, "meters/7", b'{"kwh": 2}')
    assert [one.type for one in await house.turn()] == [NON]
    assert len((await house.call(GET, "large", address=FAR)).payload) == 1024


async def test_what_is_beyond_the_bound_is_answered_and_not_observed(tmp_path: Path) -> None:
    async with coap_house(tmp_path) as house:
        for n in range(40):
            answer = await house.observe("meters/7", bytes((n,)))
            assert (opt.OBSERVE in numbers(answer.options)) == (n < 32)
        assert house.gateway.stats()["observe_refused"] == 8


async def test_a_large_notification_is_its_first_block_and_the_others_are_of_the_same_state(
    house: House,
) -> None:
    message = request(GET, "note", more=[(opt.OBSERVE, b""), (opt.BLOCK2, b"\4")])
    house.ask(message)
    assert len(house.heard()) == 1
    await house.call(PUT, "note", b"n" * 256 + b"m" * 200)
    [first] = await house.turn()
    found = numbers(first.options)
    assert (first.payload, block_of(found[opt.BLOCK2], bert=False).more) == (b"n" * 256, True)
    rest = await house.call(GET, "note", more=[(opt.BLOCK2, Block(1, more=False, szx=4).encode())])
    assert (rest.payload, numbers(rest.options)[opt.ETAG]) == (b"m" * 200, found[opt.ETAG])


async def test_closing_ends_observations_and_answers_what_is_owed(house: House) -> None:
    await house.observe("meters/7")
    house.ask(request(POST, "slow", b"x"))
    await house.gateway.close(5)
    [answer] = house.heard()
    assert (answer.payload, house.gateway.stats()["observers"]) == (b"x", 0)


async def test_a_node_that_drains_takes_nothing_new(house: House) -> None:
    house.gateway.serving.draining = True
    assert dotted((await house.call(GET, "who", address=NEAR)).code) == "5.03"


async def test_what_is_served_is_told_with_its_formats(house: House) -> None:
    answer = await house.call(GET, ".well-known/core?href=/meters*")
    assert uint(numbers(answer.options)[opt.CONTENT_FORMAT]) == 40
    assert answer.payload.decode() == (
        '</meters/%7Bmeter%7D>;rt="read write count forget";if="get put post delete"'
        ';ct="50 60";obs;templated,'
        '</meters>;rt="find";if="fetch"'
    )
    assert dotted((await house.call(PUT, ".well-known/core")).code) == "4.05"
    assert dotted((await house.call(GET, ".well-known/core", accept=50)).code) == "4.06"
