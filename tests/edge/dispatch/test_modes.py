"""mode=: what an event does that comes while an async function still works on another."""

import asyncio
from pathlib import Path

import pytest
from tests.edge.dispatch.bench import Bench, bench

from rimward.edge.dispatch.types import Message, Sender, Ticket

APP = """
gates = {{}}
@app.edge(mqtt("{{room}}/light"), mode="{mode}"{more})
async def light(room: str, data: bytes{state}) -> None:
    gate = gates[data.decode()] = asyncio.Event()
    app.publish("begun", data)
    try:
        await gate.wait()
    except asyncio.CancelledError:
        cancelled.append(data)
        raise
    app.publish("ended", data)
cancelled = []
"""


class House:
    """A function under one mode, and the events that it got."""

    def __init__(self, b: Bench) -> None:
        self._b = b
        names = b.dispatcher.functions["light"].call.__globals__
        self.gates: dict[str, asyncio.Event] = names["gates"]
        self.cancelled: list[bytes] = names["cancelled"]

    async def event(self, name: str, room: str = "hall") -> Ticket:
        """Send one."""
        sender = Sender("device", "mqtt5")
        ticket = self._b.dispatcher.message(Message(f"{room}/light", name.encode(), 1, sender, 1))
        assert ticket is not None
        for _ in range(4):  # turns of the loop in which calls end and others begin
            await asyncio.sleep(0)
        return ticket

    async def end(self, name: str) -> None:
        """Let the call of one come to its end."""
        self.gates[name].set()
        for _ in range(8):
            await asyncio.sleep(0)

    @property
    def begun(self) -> list[str]:
        """Whose calls have begun."""
        return sorted(self.gates)

    @property
    def ended(self) -> list[str]:
        """Whose calls have ended well."""
        return [payload.decode() for topic, payload in self._b.sent if topic == "ended"]

    def count(self, what: str) -> int:
        """Return a counter."""
        return self._b.dispatcher.counters.get(what, 0)


def kind(ticket: Ticket) -> str | None:
    """Return how a message was refused."""
    return ticket.refusal.kind if ticket.refusal is not None else None


def app(mode: str, more: str = "", state: str = "") -> str:
    return APP.format(mode=mode, more=more, state=state)


async def test_queued_events_run_one_after_the_other_in_their_order(tmp_path: Path) -> None:
    async with bench(tmp_path, app("queued")) as b:
        house = House(b)
        tickets = [await house.event(name) for name in "abc"]
        assert house.begun == ["a"]
        for name in "abc":
            await house.end(name)
        assert house.ended == ["a", "b", "c"]
        assert [(one.done, kind(one)) for one in tickets] == [(True, None)] * 3


async def test_one_more_than_the_queue_holds_is_busy(tmp_path: Path) -> None:
    async with bench(tmp_path, app("queued", ", max=2")) as b:
        house = House(b)
        tickets = [await house.event(name) for name in "abc"]
        assert [kind(one) for one in tickets] == [None, None, "busy"]
        assert house.count("mode_full") == 1
        await house.end("a")
        await house.end("b")
        assert house.begun == ["a", "b"]


async def test_single_leaves_out_what_comes_while_a_call_runs(tmp_path: Path) -> None:
    async with bench(tmp_path, app("single")) as b:
        house = House(b)
        first, second = await house.event("a"), await house.event("b")
        assert (kind(first), kind(second)) == (None, "running")
        assert house.count("skipped") == 1
        await house.end("a")
        await house.event("c")
        assert house.begun == ["a", "c"]
        await house.end("c")


async def test_restart_ends_the_older_call_without_its_effects(tmp_path: Path) -> None:
    async with bench(tmp_path, app("restart")) as b:
        house = House(b)
        first, second = await house.event("a"), await house.event("b")
        assert house.begun == ["a", "b"]
        assert house.cancelled == [b"a"]
        assert (first.done, kind(first)) == (True, "replaced")
        await house.end("b")
        assert (second.done, kind(second)) == (True, None)
        assert b.sent == [("begun", b"b"), ("ended", b"b")]


async def test_restart_keeps_only_the_newest_of_those_that_wait(tmp_path: Path) -> None:
    slow = "        await gates['stop'].wait()\n"
    stubborn = app("restart").replace("        raise\n", slow + "        raise\n")
    async with bench(tmp_path, stubborn) as b:
        house = House(b)
        house.gates["stop"] = asyncio.Event()
        tickets = [await house.event(name) for name in "abc"]
        assert kind(tickets[1]) == "replaced"
        house.gates["stop"].set()
        await house.end("a")
        await house.end("c")
        assert house.begun == ["a", "c", "stop"]
        assert house.ended == ["c"]


async def test_parallel_calls_run_beside_each_other_up_to_their_limit(tmp_path: Path) -> None:
    async with bench(tmp_path, app("parallel", ", max=2")) as b:
        house = House(b)
        tickets = [await house.event(name) for name in "abc"]
        assert house.begun == ["a", "b"]
        assert [kind(one) for one in tickets] == [None, None, "busy"]
        await house.end("b")
        await house.event("d")
        assert house.begun == ["a", "b", "d"]
        for name in "ad":
            await house.end(name)


@pytest.mark.parametrize("mode", ["queued", "single", "restart"])
async def test_another_value_of_a_capture_is_another_lane(tmp_path: Path, mode: str) -> None:
    async with bench(tmp_path, app(mode)) as b:
        house = House(b)
        await house.event("a", "hall")
        await house.event("b", "attic")
        assert house.begun == ["a", "b"]
        assert house.cancelled == []
        for name in "ab":
            await house.end(name)
        assert not b.dispatcher.modes._lanes, "nothing is kept of lanes in which nothing runs"


async def test_a_restart_with_state_sees_what_was_before_the_call_that_it_ended(tmp_path: Path) -> None:
    keeps = """
gate = asyncio.Event()
@app.edge(http.post("/{truck}"), mode="restart")
async def add(truck: str, data: bytes, state: State[Truck]) -> int:
    state.value.count += 1
    if data == b"wait":
        await gate.wait()
    return state.value.count
"""
    async with bench(tmp_path, keeps) as b:
        waits = asyncio.create_task(b.get("/7", method="POST", body=b"wait"))
        await asyncio.sleep(0)
        reply = (await b.get("/7", method="POST", body=b"go")).reply
        assert reply is not None
        assert reply.body == b"1"
        assert kind(await waits) == "replaced"
