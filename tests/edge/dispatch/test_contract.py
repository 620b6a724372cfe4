"""What functions may ask for and return: parameters, replies, options and names, as the contract says."""

import asyncio
from pathlib import Path

import cbor2
import msgspec
import pytest

from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch.types import Refusal, Reply, Ticket

from .bench import bench, forwarded


def reply_of(ticket: Ticket | None) -> Reply:
    assert ticket is not None
    assert ticket.refusal is None
    assert ticket.reply is not None
    return ticket.reply


def refusal_of(ticket: Ticket | None) -> Refusal:
    assert ticket is not None
    assert ticket.refusal is not None
    return ticket.refusal


PARAMETERS = """
import enum
from uuid import UUID
class Side(enum.Enum):
    LEFT = "left"
    RIGHT = "right"
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
class Settings(Struct, frozen=True):
    limit: float = 8.0
    names: list[str] = []
app = App("test", compat="2026-11-01", config=Settings)
@app.state(key="truck")
class Seen(Struct):
    count: int = 0
@app.edge(mqtt("seen/{truck}"))
def see(state: State[Seen], everyone: States[Seen], payload: bytes) -> dict[str, int]:
    state.value.count += 1
    other = everyone.get("7")
    if other is not None:
        other.count = 1000
    return {key: seen.count for key, seen in everyone.items()}
@app.edge(http.get("/{n}/{id}/{side}/{level}"))
def captures(n: int, id: UUID, side: Side, level: Level, wanted: Side = Side.LEFT, deep: bool = False) -> str:
    return f"{n} {id.int} {side.name} {level.name} {wanted.name} {deep}"
@app.edge(http.get("/who"))
def who(device: Device, event: Event, settings: Settings) -> dict[str, object]:
    return {"id": device.id, "user": device.user, "protocol": device.protocol, "limit": settings.limit}
@app.edge(mqtt("who"))
def who_mqtt(device: Device, payload: str) -> str:
    return f"{device.id} {device.user} {device.protocol} {payload}"
"""


async def test_captures_and_query_parameters_are_converted_or_refused_by_name(tmp_path: Path) -> None:
    good = "/5/00000000-0000-0000-0000-000000000007/left/2"
    async with bench(tmp_path, PARAMETERS) as b:
        assert reply_of(await b.get(good, "wanted=right&deep=true")).body == b"5 7 LEFT HIGH RIGHT True"
        for path, query, detail in (
            (good.replace("/5/", "/05/"), "", "n is '05', it must be int"),
            (good.replace("/5/", "/+5/"), "", ""),
            (good.replace("/5/", "/5.0/"), "", "n is '5.0', it must be int"),
            (good.replace("/5/", "/\uff11/"), "", "it must be int"),
            (good.replace("007", "xyz"), "", "it must be UUID"),
            (good.replace("left", "up"), "", "side is 'up', it must be one of left, right"),
            (good.replace("/2", "/3"), "", "level is '3', it must be one of 1, 2"),
            (good, "wanted=up", "Invalid enum value 'up' - at query parameter 'wanted'"),
            (good, "deep=perhaps", "at query parameter 'deep'"),
        ):
            refusal = refusal_of(await b.get(path, query))
            assert refusal.kind == ("payload" if "+" not in path else "invalid")
            assert detail in refusal.detail


async def test_a_function_gets_the_device_and_the_settings(tmp_path: Path) -> None:
    async with bench(tmp_path, PARAMETERS, {"RIMWARD_CONFIG_LIMIT": "4.5"}) as b:
        found = msgspec.json.decode(reply_of(await b.get("/who")).body)
        assert found == {"id": "peer", "user": None, "protocol": "http", "limit": 4.5}
        assert reply_of(await b.message("who", b"hello")).body == b"device anna mqtt5 hello"


async def test_states_reads_what_is_committed_and_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, PARAMETERS) as b:
        assert reply_of(await b.message("seen/7", b"")).body == b"{}"
        assert reply_of(await b.message("seen/8", b"")).body == b'{"7":1}'
        assert reply_of(await b.message("seen/8", b"")).body == b'{"7":1,"8":1}'


REPLIES = """
from rimward import Reply
class Answer(Struct):
    celsius: float
    raw: bytes
@app.edge(http.post("/object"))
def object_(reading: Reading) -> Answer:
    app.publish("ran", "")
    return Answer(reading.celsius, b"\\x01")
@app.edge(http.get("/text"))
def text() -> str:
    return "warm"
@app.edge(http.get("/bytes"))
def bytes_() -> bytes:
    return b"\\x00"
@app.edge(http.get("/nothing"))
def nothing() -> None: ...
@app.edge(http.get("/made"))
def made() -> Reply[dict[str, int]]:
    return Reply({"n": 1}, status=201, headers={"Location": "/n/1"})
@app.edge(http.get("/image"))
def image() -> Reply[bytes]:
    return Reply(b"png", headers={"content-type": "image/png"})
@app.edge(http.get("/odd/{n}"))
def odd(n: int) -> object:
    app.publish("odd", "")
    return object()
@app.edge(mqtt("t/{truck}"))
def one(truck: str, reading: Reading) -> Answer:
    return Answer(reading.celsius, b"")
@app.edge(mqtt("t/{rest...}"))
def two(rest: str, reading: Reading):
    return "the second"
"""
ANSWER = {"celsius": 9.5, "raw": b"\x01"}


async def test_a_reply_is_written_as_its_caller_likes_it_best(tmp_path: Path) -> None:
    async with bench(tmp_path, REPLIES) as b:
        body = b'{"celsius": 9.5}'
        for headers, content_type in (
            ({}, "application/json"),
            ({"accept": "*/*"}, "application/json"),
            ({"accept": "application/cbor"}, "application/cbor"),
            ({"accept": "application/json;q=0.5, application/msgpack"}, "application/msgpack"),
            ({"accept": "application/*;q=0.2, application/cbor;q=0.1"}, "application/json"),
            ({"accept": "text/html, application/json;q=0"}, None),
            ({"accept": "text/html"}, None),
            ({"accept": "text/html, */*;q=0.1"}, "application/json"),
        ):
            ticket = await b.get("/object", method="POST", body=body, headers=headers)
            if content_type is None:
                assert refusal_of(ticket).kind == "not-acceptable"
            else:
                assert reply_of(ticket).content_type == content_type
        assert len(b.sent) == 6, "what is not acceptable is refused before the function runs"


async def test_a_payload_is_read_by_its_content_type_and_answered_in_the_same(tmp_path: Path) -> None:
    async with bench(tmp_path, REPLIES) as b:
        for content_type, body in (
            ("application/msgpack", msgspec.msgpack.encode({"celsius": 9.5})),
            ("application/x-msgpack", msgspec.msgpack.encode({"celsius": 9.5})),
            ("application/cbor", cbor2.dumps({"celsius": 9.5})),
            ("application/vnd.x+json; charset=UTF-8", b'{"celsius": 9.5}'),
        ):
            reply = reply_of(
                await b.get("/object", method="POST", body=body, headers={"content-type": content_type})
            )
            if "msgpack" in content_type:
                assert msgspec.msgpack.decode(reply.body) == ANSWER
            elif "cbor" in content_type:
                assert cbor2.loads(reply.body) == ANSWER
            else:
                assert reply.body == b'{"celsius":9.5,"raw":"AQ=="}'
            message = await b.message("t/7", body, content_type=content_type)
            assert reply_of(message).content_type == reply.content_type


async def test_a_content_type_that_cant_be_read_is_refused_and_kept(tmp_path: Path) -> None:
    async with bench(tmp_path, REPLIES) as b:
        for content_type in ("image/png", "application/x-www-form-urlencoded", "text/plain; charset=latin1"):
            headers = {"content-type": content_type}
            refusal = refusal_of(await b.get("/object", method="POST", body=b"{}", headers=headers))
            assert refusal.kind == "media-type"
            assert "send application/json" in refusal.detail
        assert b.outbox.stats()["dead_letters"] == 3
        assert refusal_of(await b.message("t/7", b"{}", content_type="image/png")).kind == "media-type"


async def test_text_bytes_nothing_and_reply_are_answered_as_what_they_are(tmp_path: Path) -> None:
    async with bench(tmp_path, REPLIES) as b:
        text, raw = reply_of(await b.get("/text")), reply_of(await b.get("/bytes"))
        assert (text.body, text.content_type) == (b"warm", "text/plain; charset=utf-8")
        assert (raw.body, raw.content_type) == (b"\0", "application/octet-stream")
        assert reply_of(await b.get("/nothing")).status == 204
        made = reply_of(await b.get("/made", headers={"accept": "application/cbor"}))
        assert (made.status, made.headers, made.content_type) == (
            201,
            {"location": "/n/1"},
            "application/cbor",
        )
        assert reply_of(await b.get("/image", headers={"accept": "text/html"})).content_type == "image/png"
        assert (
            refusal_of(await b.get("/text", headers={"accept": "application/json"})).kind == "not-acceptable"
        )


async def test_what_cant_be_written_as_a_reply_fails_and_leaves_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, REPLIES) as b:
        assert refusal_of(await b.get("/odd/1")).kind == "failed"
        assert b.sent == []
        assert b.outbox.stats()["dead_letters"] == 1


async def test_the_first_reply_to_a_message_wins_and_the_rest_is_counted(tmp_path: Path) -> None:
    async with bench(tmp_path, REPLIES) as b:
        assert reply_of(await b.message("t/7", {"celsius": 1})).body == b'{"celsius":1.0,"raw":""}'
        assert b.dispatcher.counters["replies_dropped"] == 1
        await b.message("t/7", {"celsius": 1}, reply=False)
        assert b.dispatcher.counters["replies_dropped"] == 3


ROUTES = """
@app.edge(http.get("/a/{x}"))
def capture(x: str) -> str:
    return "capture"
@app.edge(http.get("/a/b"))
def literal() -> str:
    return "literal"
@app.edge(http.get("/{rest...}"))
def tail(rest: str) -> str:
    return rest
@app.edge(http.get("/{x}/b/{y}"))
def later(x: str, y: str) -> str:
    return "later"
@app.edge(http.get("/a/{x}/c"))
def earlier(x: str) -> str:
    return "earlier"
@app.edge(http.head("/a/b"))
def head() -> str:
    return "head"
@app.edge(http.options("/a/b"))
def options() -> str:
    return "options"
"""


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/a/b", b"literal"),
        ("GET", "/a/x", b"capture"),
        ("GET", "/a/x/y", b"a/x/y"),
        ("GET", "/x", b"x"),
        ("GET", "/a/b/c", b"earlier"),
        ("GET", "/x/b/c", b"later"),
        ("HEAD", "/a/b", b"head"),
        ("HEAD", "/a/x", b"capture"),
        ("OPTIONS", "/a/b", b"options"),
    ],
)
async def test_a_request_runs_the_most_specific_route(
    tmp_path: Path, method: str, path: str, answer: bytes
) -> None:
    async with bench(tmp_path, ROUTES) as b:
        assert reply_of(await b.get(path, method=method)).body == answer
        assert refusal_of(await b.get("/$SYS/x")).kind == "invalid"


OPTIONS = """
@app.edge(mqtt("t/{truck}"))
def kept(truck: str, reading: Reading) -> None:
    app.forward(Warm(truck, reading.celsius))
@app.edge(mqtt("t/{truck}"), durable=False)
def loose(truck: str, reading: Reading) -> str:
    app.forward(Mean(truck, reading.celsius))
    if reading.celsius > 50:
        raise RuntimeError("too hot")
    return "loose"
@app.edge(mqtt("late/{truck}"), timeout="10ms")
async def late(truck: str, reading: Reading, state: State[Truck]) -> None:
    state.value.count += 1
    await asyncio.sleep(60)
@app.edge(http.get("/loose"), durable=False)
def loose_http() -> str:
    app.forward(Warm("7", 1.0))
    return "at once"
@app.edge(http.get("/count/{truck}"))
def count(state: State[Truck]) -> Truck:
    return state.value
"""


async def test_a_function_that_is_not_durable_commits_by_itself(tmp_path: Path) -> None:
    async with bench(tmp_path, OPTIONS) as b:
        assert reply_of(await b.message("t/7", {"celsius": 1})).body == b"loose"
        failed = await b.message("t/7", {"celsius": 60})
        assert refusal_of(failed).kind == "failed"
        ticket = await b.get("/loose")
        assert reply_of(ticket).body == b"at once"
    assert await forwarded(tmp_path) == {"warm": 3, "mean": 1}


async def test_an_async_function_over_its_timeout_is_cancelled_and_fails(tmp_path: Path) -> None:
    async with bench(tmp_path, OPTIONS) as b:
        refusal = refusal_of(await b.message("late/7", {"celsius": 1}))
        assert (refusal.kind, refusal.detail) == ("failed", "late raised TimeoutError")
        assert reply_of(await b.get("/count/7")).body == b'{"count":0}'
        assert b.outbox.stats()["dead_letters"] == 1


FULL = """
@app.state(key="truck")
class Soft(Struct):
    count: int = 0
@app.edge(mqtt("t/{truck}"))
def first(state: State[Soft], reading: Reading) -> None:
    state.value.count += 1
@app.edge(mqtt("t/{truck}"))
def second(truck: str, reading: Reading) -> None:
    app.forward(Warm(truck, 1.0))
@app.edge(http.get("/count/{truck}"))
def count(state: State[Soft]) -> Soft:
    return state.value
"""


async def test_a_full_outbox_takes_back_what_other_functions_of_the_message_did(tmp_path: Path) -> None:
    async with bench(tmp_path, FULL, limits=OutboxConfig(max_bytes=1)) as b:
        assert refusal_of(await b.message("t/7", {"celsius": 1})).kind == "full"
        assert reply_of(await b.get("/count/7")).body == b'{"count":0}'


BUSY = """
@app.edge(mqtt("t/{truck}"))
def first(truck: str, state: State[Truck], reading: Reading) -> None:
    state.value.count += 1
    app.forward(Warm(truck, reading.celsius))
    app.publish("seen", truck)
    if reading.celsius > 99:
        raise ValueError("too hot")
@app.edge(mqtt("t/{truck}"){options})
{define} guard(truck: str, reading: Reading) -> None:
    {wait}
    if reading.celsius > 10:
        raise Reject("busy", "come again")
@app.edge(mqtt("t/{truck}"))
def third(truck: str, reading: Reading) -> None:
    app.forward(Mean(truck, reading.celsius))
@app.stream(mqtt("t/{truck}"))
def each(readings: Stream[Reading]) -> Stream[Mean]:
    return readings.map(lambda reading: Mean("stream", reading.celsius)).forward()
@app.edge(http.get("/count/{truck}"))
def count(state: State[Truck]) -> Truck:
    return state.value
"""


@pytest.mark.parametrize("protocol", ["mqtt3", "mqtt5"])
@pytest.mark.parametrize(
    ("options", "define", "wait"),
    [
        ("", "def", "pass"),
        ("", "async def", "await asyncio.sleep(0)"),
        (", durable=False", "def", "pass"),
    ],
)
async def test_a_message_that_is_to_come_again_leaves_nothing_so_that_it_is_not_doubled(
    tmp_path: Path, protocol: str, options: str, define: str, wait: str
) -> None:
    functions = BUSY.replace("{options}", options).replace("{define}", define).replace("{wait}", wait)
    async with bench(tmp_path, functions) as b:
        for celsius in (50, 120):  # the one that raises would be a dead letter, if it were not to come again
            refusal = refusal_of(await b.message("t/7", {"celsius": celsius}, protocol=protocol))
            assert (refusal.kind, refusal.detail) == ("busy", "come again")
        assert reply_of(await b.get("/count/7")).body == b'{"count":0}'
        assert b.outbox.stats()["dead_letters"] == 0
        taken = await b.message("t/7", {"celsius": 5}, protocol=protocol)
        assert taken is not None
        assert taken.refusal is None
        assert reply_of(await b.get("/count/7")).body == b'{"count":1}'
        assert len(b.sent) == 2, "actions had left"
    assert await forwarded(tmp_path) == {"warm": 1, "mean": 2}


NAMES = """
@app.state(key="truck", durable=True, {options})
class {state}(Struct):
    count: int = 0
@app.stream(mqtt("s/{{truck}}", time="at"){stream_was})
def {stream}(readings: Stream[Timed]) -> Stream[Mean]:
    windows = readings.key_by("truck").tumbling("1s", lateness="100ms")
    return windows.agg(Mean, mean=("celsius", "mean")).forward()
@app.edge(mqtt("t/{{truck}}"))
def counted(state: State[{state}], reading: Reading) -> str:
    state.value.count += 1
    return str(state.value.count)
"""


async def test_renamed_states_and_streams_go_on_where_they_were(tmp_path: Path) -> None:
    before = NAMES.format(state="Old", options="", stream="olds", stream_was="")
    after = NAMES.format(state="New", options='was="Old"', stream="news", stream_was=', was="olds"')
    async with bench(tmp_path, before) as b:
        assert reply_of(await b.message("t/7", {"celsius": 1})).body == b"1"
        await b.message("s/7", {"celsius": 4.0, "at": "2026-11-01T00:00:00Z"})
    for expected in (b"2", b"3"):
        async with bench(tmp_path, after) as b:
            assert reply_of(await b.message("t/7", {"celsius": 1})).body == expected
    async with bench(tmp_path, after) as b:
        await b.message("s/7", {"celsius": 8.0, "at": "2026-11-01T00:00:00.5Z"})
        await b.message("s/7", {"celsius": 0.0, "at": "2026-11-01T00:00:09Z"})
    assert await forwarded(tmp_path) == {"mean": 1}


async def test_a_cell_that_nobody_changes_expires_also_over_a_restart(tmp_path: Path) -> None:
    functions = NAMES.format(state="Seen", options='expires="10s"', stream="means", stream_was="")
    async with bench(tmp_path, functions) as b:
        await b.message("t/7", {"celsius": 1})
        b.moved = 9_000_000_000
        assert reply_of(await b.message("t/7", {"celsius": 1})).body == b"2"
    async with bench(tmp_path, functions) as b:
        b.moved = 18_000_000_000
        assert reply_of(await b.message("t/7", {"celsius": 1})).body == b"3"
        b.moved = 29_000_000_000
        b.dispatcher.expire()
        assert reply_of(await b.message("t/7", {"celsius": 1})).body == b"1"
    async with bench(tmp_path, functions) as b:
        b.moved = 60_000_000_000
        assert reply_of(await b.message("t/7", {"celsius": 1})).body == b"1", "also before anyone sweeps"


async def test_a_waiting_call_keeps_its_cell_from_expiring(tmp_path: Path) -> None:
    functions = """
    @app.state(key="truck", expires="10s")
    class Seen(Struct):
        count: int = 0
    @app.edge(mqtt("t/{truck}"))
    async def counted(state: State[Seen], reading: Reading) -> str:
        state.value.count += 1
        await asyncio.sleep(0)
        return str(state.value.count)
    """
    async with bench(tmp_path, functions) as b:
        tickets = await asyncio.gather(*(b.message("t/7", {"celsius": 1}) for _ in range(3)))
        assert [reply_of(ticket).body for ticket in tickets] == [b"1", b"2", b"3"]
        b.moved = 11_000_000_000
        waiting = asyncio.ensure_future(b.message("t/7", {"celsius": 1}))
        b.dispatcher.expire()
        assert reply_of(await waiting).body == b"1"


BATCHES = """
class Batch(Struct):
    at: datetime
    readings: list[Timed]
@app.stream(mqtt("b/{truck}", time="at"))
def means(batches: Stream[Batch]) -> Stream[Mean]:
    readings = batches.flat_map(lambda batch: batch.readings).filter(lambda reading: reading.celsius > 0)
    windows = readings.key_by("truck").tumbling("1s", lateness="100ms")
    return windows.agg(Mean, mean=("celsius", "mean")).forward()
@app.edge(means)
def follow(mean: Mean) -> None:
    app.publish("mean", mean)
"""


async def test_a_batch_is_opened_and_each_item_falls_into_the_window_of_its_own_time(tmp_path: Path) -> None:
    at = "2026-11-01T00:00:0{}Z"
    readings = [
        {"celsius": celsius, "at": at.format(n)} for n, celsius in ((0, 2.0), (0, 4.0), (0, -9.0), (2, 8.0))
    ]
    async with bench(tmp_path, BATCHES) as b:
        await b.message("b/7", {"at": at.format(9), "readings": readings})
        assert b.sent == [("mean", b'{"truck":"7","mean":3.0}')]
        await b.message("b/7", {"at": at.format(9), "readings": []})
        await b.message("b/7", {"at": at.format(9), "readings": [{"celsius": 1.0, "at": at.format(9)}]})
        assert b.sent[1:] == [("mean", b'{"truck":"7","mean":8.0}')]
