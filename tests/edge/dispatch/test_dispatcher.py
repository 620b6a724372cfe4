"""One message is one transaction: what runs, what leaves, what is committed and what is answered."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from rimward.app.manifest import FactSpec
from rimward.events import OutboxFull

from .bench import bench, forwarded

GUARD = """
@app.edge(mqtt("t/{truck}"), budget="5s")
def guard(truck: str, reading: Reading, state: State[Truck]) -> None:
    state.value.count += 1
    app.publish(f"c/{truck}", {"n": state.value.count})
    app.forward(Warm(truck, reading.celsius))
    if reading.celsius > 99:
        raise RuntimeError("too hot")
    if reading.celsius > 50:
        raise Reject("conflict", "warm")
@app.edge(http.get("/t/{truck}"))
def latest(state: State[Truck]) -> Truck:
    return state.value
"""


async def test_a_message_runs_its_function_and_is_answered_once_it_is_on_disk(tmp_path: Path) -> None:
    async with bench(tmp_path, GUARD) as b:
        ticket = await b.message("t/7", {"celsius": 9.5})
        assert ticket is not None
        assert ticket.refusal is None
        assert b.sent == [("c/7", b'{"n":1}')]
        assert await forwarded(tmp_path) == {"warm": 1}


async def test_a_call_that_raises_leaves_nothing_but_a_dead_letter(tmp_path: Path) -> None:
    async with bench(tmp_path, GUARD) as b:
        ticket = await b.message("t/7", {"celsius": 100})
        assert ticket is not None
        assert ticket.refusal is not None
        assert ticket.refusal.kind == "failed"
        assert b.sent == []
        assert await forwarded(tmp_path) == {}
        assert b.outbox.stats()["dead_letters"] == 1
        assert (reply := (await b.get("/t/7")).reply) is not None
        assert reply.body == b'{"count":0}'


async def test_a_plain_call_that_raises_leaves_nothing_but_a_dead_letter(tmp_path: Path) -> None:
    functions = """
    @app.edge(mqtt("t/{truck}"))
    def guard(truck: str, reading: Reading) -> None:
        app.publish(f"c/{truck}", b"")
        app.forward(Warm(truck, reading.celsius))
        if reading.celsius > 99:
            raise RuntimeError("too hot")
    """
    async with bench(tmp_path, functions) as b:
        await b.message("t/7", {"celsius": 9.5})  # from now on its topic is on the fast lane
        assert "t/7" in b.dispatcher.board.lane
        for celsius, refusal in ((9.5, None), (100, "failed")):
            ticket = await b.message("t/7", {"celsius": celsius})
            assert ticket is not None
            assert (ticket.refusal and ticket.refusal.kind) == refusal
            assert len(b.sent) == 2
            assert await forwarded(tmp_path) == {"warm": 2}
        assert b.outbox.stats()["dead_letters"] == 1


async def test_a_rejection_is_told_by_its_code_and_is_no_dead_letter(tmp_path: Path) -> None:
    async with bench(tmp_path, GUARD) as b:
        ticket = await b.message("t/7", {"celsius": 60})
        assert ticket is not None
        assert ticket.refusal is not None
        assert (ticket.refusal.kind, ticket.refusal.detail) == ("conflict", "warm")
        assert b.outbox.stats()["dead_letters"] == 0


async def test_a_payload_of_the_wrong_type_is_refused_with_its_path(tmp_path: Path) -> None:
    async with bench(tmp_path, GUARD) as b:
        for payload in ({"celsius": "warm"}, b"{", b"\xff", b"[" * 1_000_000):
            ticket = await b.message("t/7", payload)
            assert ticket is not None
            assert ticket.refusal is not None
            assert ticket.refusal.kind == "payload"
        assert b.outbox.stats()["dead_letters"] == 4


async def test_durable_state_survives_a_restart(tmp_path: Path) -> None:
    for n in (1, 2, 3):
        async with bench(tmp_path, GUARD) as b:
            await b.message("t/7", {"celsius": 1})
            assert b.sent == [("c/7", b'{"n":%d}' % n)]


async def test_a_message_that_nothing_listens_to_is_taken_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path, GUARD) as b:
        assert await b.message("elsewhere", {}) is None


async def test_routes_answer_not_found_wrong_method_and_bad_query(tmp_path: Path) -> None:
    functions = """
    @app.edge(http.get("/a/{n}"))
    def a(n: int, limit: int, unit: str = "K") -> str:
        return f"{n} {limit} {unit}"
    """
    async with bench(tmp_path, functions) as b:
        assert (reply := (await b.get("/a/5", "limit=3")).reply) is not None
        assert reply.body == b"5 3 K"
        for path, query in (("/a/x", "limit=3"), ("/a/5", "limit=x"), ("/a/5", "")):
            refusal = (await b.get(path, query)).refusal
            assert refusal is not None
            assert refusal.kind == "payload"
        missing = await b.get("/b")
        assert missing.refusal is not None
        assert missing.refusal.kind == "not-found"
        hidden = await b.get("/a/%2F")
        assert hidden.refusal is not None
        assert hidden.refusal.kind == "invalid"
        wrong = (await b.get("/a/5", method="POST")).reply
        assert wrong is not None
        assert (wrong.status, wrong.headers) == (405, {"allow": "GET, HEAD"})


async def test_async_functions_keep_a_key_to_themselves_until_they_end(tmp_path: Path) -> None:
    functions = """
    seen = []
    @app.edge(mqtt("t/{truck}"))
    async def slow(truck: str, reading: Reading, state: State[Truck]) -> None:
        before = state.value.count
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        state.value.count = before + 1
        app.publish("n", str(state.value.count))
    @app.edge(mqtt("u/{truck}"))
    async def quick(truck: str, reading: Reading) -> str:
        async with asyncio.timeout(5):
            return truck
    """
    async with bench(tmp_path, functions) as b:
        await asyncio.gather(*(b.message("t/7", {"celsius": 1}) for _ in range(20)))
        assert [payload for _, payload in b.sent] == [str(n).encode() for n in range(1, 21)]
        ticket = await b.message("u/7", {"celsius": 1})
        assert ticket is not None
        assert ticket.reply is not None
        assert ticket.reply.body == b"7"


STREAM = """
@app.stream(mqtt("t/{truck}", time="at"))
def means(readings: Stream[Timed]) -> Stream[Mean]:
    windows = readings.key_by("truck").tumbling("1s", lateness="100ms")
    return windows.agg(Mean, mean=("celsius", "mean")).forward()
@app.edge(means)
def follow(mean: Mean) -> None:
    app.publish("mean", mean)
"""


async def test_a_window_survives_a_restart_and_closes_once(tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    async with bench(tmp_path, STREAM) as b:
        for celsius in (1.0, 2.0):
            await b.message("t/7", {"celsius": celsius, "at": start})
        assert b.sent == []
    async with bench(tmp_path, STREAM) as b:
        await b.message("t/7", {"celsius": 6.0, "at": start})
        await b.message("t/7", {"celsius": 0.0, "at": start})
        later = datetime.fromtimestamp(start.timestamp() + 2, UTC)
        await b.message("t/7", {"celsius": 5.0, "at": later})
        assert b.sent == [("mean", b'{"truck":"7","mean":2.25}')]
        assert await forwarded(tmp_path) == {"mean": 1}


async def test_an_event_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, STREAM) as b:
        ticket = await b.message("t/7", {"celsius": 1.0, "at": "2026-11-24T00:00:00"})
        assert ticket is not None
        assert ticket.refusal is not None
        assert "with its zone" in ticket.refusal.detail


async def test_a_kept_trace_names_stages_and_rows(tmp_path: Path) -> None:
    async with bench(tmp_path, GUARD) as b:
        await b.message("t/7", {"celsius": 9.5})
        [trace] = b.traces
        assert [stage.name for stage in trace.stages] == ["decode", "function guard", "commit"]
        assert [(row.fact, row.seq) for row in trace.rows] == [("warm", 1)]
        assert trace.actions == 1


@pytest.mark.parametrize("first", [120, "cold"])
@pytest.mark.parametrize("protocol", ["mqtt3", "mqtt5"])
async def test_while_the_disk_fails_every_message_is_withheld_whatever_else_was_wrong_with_it(
    tmp_path: Path, protocol: str, first: object
) -> None:
    """MQTT 3.1.1 acknowledges what can never succeed: its dead letter has to be on disk for that."""
    async with bench(tmp_path, GUARD) as b:

        def fails(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        assert b.outbox._core is not None
        b.outbox._core.commit = fails  # pyright: ignore[reportAttributeAccessIssue] (a disk that is gone)
        for celsius in (
            first,
            120,
            60,
            9.5,
            "cold",
        ):  # raises, rejects, forwards, does not fit: the first to meet the disk and those after
            ticket = await b.message("t/7", {"celsius": celsius}, protocol=protocol)
            assert ticket is not None
            assert ticket.refusal is not None
            assert ticket.refusal.kind == "full", celsius
        ticket = await b.get("/t/7")
        assert ticket.reply is not None
        assert msgspec.json.decode(ticket.reply.body) == {"count": 0}, "state is as the disk has it"
    assert await forwarded(tmp_path) == {}


TWO = """
@app.edge(mqtt("t/{truck}"))
def first(truck: str, reading: Reading) -> None:
    app.forward(Warm(truck, reading.celsius))
    if reading.celsius > 99:
        raise RuntimeError("too hot")
@app.edge(mqtt("t/{truck}"))
def second(truck: str, reading: Reading) -> None:
    app.forward(Mean(truck, reading.celsius))
"""


async def test_where_one_function_finds_no_room_nothing_of_the_message_is_kept(tmp_path: Path) -> None:
    async with bench(tmp_path, TWO) as b:
        admit, asked = b.outbox.admit, list[str]()

        def full_once(spec: FactSpec, about: int, values: tuple[object, ...]) -> None:
            asked.append(spec.priority)
            if len(asked) in {1, 4}:
                raise OutboxFull("outbox: no room")
            admit(spec, about, values)

        b.dispatcher.admit = full_once
        for celsius in (
            9.5,
            120,
        ):  # the first function finds none; the first raises and the second finds none
            ticket = await b.message("t/7", {"celsius": celsius})
            assert ticket is not None
            assert ticket.refusal is not None
            assert ticket.refusal.kind == "full"
        assert b.outbox.stats()["dead_letters"] == 0
        assert await forwarded(tmp_path) == {}
