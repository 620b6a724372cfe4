"""Calls that are stopped: what they did is undone, the caller is told, a fallback answers in their place."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from tests.edge.dispatch.bench import Bench, bench

from rimward.edge.api import dead_letters
from rimward.edge.dispatch.types import PourError
from rimward.edge.slot import ASKED, START, Slot, digest
from rimward.edge.stopping import Stopper
from rimward.edge.watched import call_sites
from rimward.events import REFUSALS

SOON = 0.005  # seconds between two looks of what stands for the supervisor


class Conduct:
    def __init__(self) -> None:
        self.told: list[str] = []

    def stopped(self, function: str, place: str, own: int) -> None:
        assert own > 0
        self.told.append(f"{function} at {place}")

    def overran(self, function: str) -> None:
        self.told.append(f"{function} overran")

    def died(self, function: str, event: int) -> None:
        self.told.append(f"{function} died of {event:08x}")


class Watched:
    """Stops every call that is still there when it looks."""

    def __init__(self) -> None:
        self.conduct = Conduct()
        self._slot = Slot()
        self._stopper = Stopper(self._slot, call_sites())

    def over(self, b: Bench) -> None:
        """Watch over a dispatcher."""
        b.dispatcher.words, b.dispatcher.conduct = self._slot.words, self.conduct
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, SOON, SOON)

    def _look(self, number: int, frame: FrameType | None) -> None:
        words = self._slot.words
        if words[START] and words[ASKED] == words[START]:  # seen before: it has run for long enough
            self._stopper.asked(number, frame)
        words[ASKED] = words[START]


@pytest.fixture
def watched() -> Iterator[Watched]:
    before, trace = signal.getsignal(signal.SIGALRM), sys.gettrace()
    sys.settrace(None)
    yield Watched()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    sys.settrace(trace)


HANGS = """
@app.edge(mqtt("{truck}/hangs"), budget="1ms", on_overrun="cut")
def hangs(truck: str, reading: Reading) -> None:
    app.publish("x", "y")
    app.forward(Warm(truck, 1.0))
    while True:
        pass
"""
KEEPS = """
@app.edge(mqtt("{truck}/keeps"), budget="1ms", on_overrun="cut")
def keeps(truck: str, reading: Reading, state: State[Truck]) -> None:
    state.value.count += 1
    while reading.celsius > 8:
        pass
@app.edge(http.get("/{truck}"))
def count(state: State[Truck]) -> int:
    return state.value.count
"""
WAITS = """
@app.edge(http.post("/{truck}"), budget="1ms", on_overrun="cut")
async def waits(truck: str, reading: Reading) -> str:
    await asyncio.sleep(0)
    while True:
        pass
"""
SLOW = """
from datetime import timedelta
@app.edge(mqtt("slow"), budget=timedelta(microseconds=1))
def slow(reading: Reading) -> None:
    sum(range(1000))
"""
POURS = """
from collections.abc import AsyncIterator
@app.edge(http.get("/{truck}"), budget="1ms", on_overrun="cut")
async def pours(truck: str) -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(0)
    while True:
        pass
"""
STREAMS = """
def hot(reading: Reading) -> bool:
    while reading.celsius > 8:
        pass
    return True
@app.stream(mqtt("{d}/x"))
def checked(readings: Stream[Reading]) -> Stream[Reading]:
    return readings.key_by("d").filter(hot)
@app.edge(checked)
def passed(reading: Reading) -> None:
    app.publish("passed", str(reading.celsius))
"""
FALLS = """
def cheap(truck: str, reading: Reading, state: State[Truck]) -> str:
    app.publish("cheap", truck)
    state.value.count += 10
    return f"{truck} {reading.celsius} {state.value.count}"
@app.edge(http.post("/{truck}"), budget="1ms", on_overrun=cheap)
def falls(truck: str, reading: Reading, state: State[Truck]) -> str:
    app.publish("dear", truck)
    state.value.count += 1
    reading.celsius = 0.0
    while True:
        pass
"""


async def test_a_call_that_was_cut_leaves_a_dead_letter_and_nothing_else(
    tmp_path: Path, watched: Watched
) -> None:
    async with bench(tmp_path, HANGS) as b:
        watched.over(b)
        ticket = await b.message("7/hangs", {"celsius": 1.0})
        assert ticket is not None
        assert ticket.refusal is not None
        assert ticket.refusal.kind == "timeout"
        assert b.sent == []
        [(_, letter)] = await asyncio.to_thread(dead_letters, tmp_path)
        assert (letter.reason, letter.function) == ("timeout", "hangs")
        figures = b.dispatcher.functions["hangs"].figures
        assert (figures.stopped, figures.errors) == (1, 1)
        assert b.dispatcher.counters["forwards"] == 0
        assert watched.conduct.told[0].startswith("hangs at app.py:")


async def test_a_cell_is_as_it_was_before_a_call_that_was_cut(tmp_path: Path, watched: Watched) -> None:
    async with bench(tmp_path, KEEPS) as b:
        watched.over(b)
        await b.message("7/keeps", {"celsius": 1.0})
        await b.message("7/keeps", {"celsius": 9.0})
        reply = (await b.get("/7")).reply
        assert reply is not None
        assert reply.body == b"1"


async def test_an_async_call_is_cut_after_a_wait_too(tmp_path: Path, watched: Watched) -> None:
    async with bench(tmp_path, WAITS) as b:
        watched.over(b)
        ticket = await b.get("/7", method="POST", body=b'{"celsius":1.0}')
        assert ticket.refusal is not None
        assert ticket.refusal.kind == "timeout"


async def test_a_stream_of_replies_is_cut_in_the_middle(tmp_path: Path, watched: Watched) -> None:
    async with bench(tmp_path, POURS) as b:
        watched.over(b)
        reply = (await b.get("/7")).reply
        assert reply is not None
        assert reply.stream is not None
        assert (await anext(reply.stream)).body == b"1"
        with pytest.raises(PourError) as raised:
            await anext(reply.stream)
        assert raised.value.refusal.kind == "timeout"
        assert b.dispatcher.functions["pours"].figures.stopped == 1
        assert watched.conduct.told[0].startswith("pours at app.py:")


async def test_a_fallback_answers_with_the_same_arguments_in_the_place_of_what_was_cut(
    tmp_path: Path, watched: Watched
) -> None:
    async with bench(tmp_path, FALLS) as b:
        watched.over(b)
        ticket = await b.get("/7", method="POST", body=b'{"celsius":9.5}')
        assert ticket.reply is not None
        assert ticket.reply.body == b"7 9.5 10"
        assert b.sent == [("cheap", b"7")]
        figures = b.dispatcher.functions["falls"].figures
        assert (figures.stopped, figures.errors) == (1, 0)
        assert await asyncio.to_thread(dead_letters, tmp_path) == []
        assert b.traces[-1].over_budget


async def test_a_call_over_its_budget_by_its_own_time_is_told_and_ends(tmp_path: Path) -> None:
    conduct = Conduct()
    async with bench(tmp_path, SLOW) as b:
        b.dispatcher.conduct = conduct
        for _ in range(2):  # the second on the fast lane
            ticket = await b.message("slow", {"celsius": 1.0}, qos=0, reply=False)
            assert ticket is None
    assert conduct.told == ["slow overran"] * 2


async def test_an_event_that_killed_twice_is_dead_lettered_and_not_run(tmp_path: Path) -> None:
    fine = '@app.edge(mqtt("{d}/x"))\ndef fine(d: str, data: bytes) -> None:\n    app.publish("ran", data)\n'
    async with bench(tmp_path, fine) as b:
        b.dispatcher.functions["fine"].killers.add(digest("7/x", b"bad"))
        ticket = await b.message("7/x", b"bad")
        assert ticket is not None
        assert ticket.refusal is not None
        assert ticket.refusal.kind == "failed"
        for topic, payload in (("8/x", b"bad"), ("7/x", b"good")):
            await b.message(topic, payload)
        assert [payload for _, payload in b.sent] == [b"bad", b"good"]
        [(_, letter)] = await asyncio.to_thread(dead_letters, tmp_path)
        assert (letter.reason, letter.source) == ("killed", "7/x")


async def test_the_slot_says_what_runs_on_each_way(tmp_path: Path) -> None:
    tells = """
seen = []
def look():
    seen.append(list(words[:3]))
@app.edge(mqtt("{truck}/fast"))
def fast(truck: str, data: bytes) -> None:
    look()
@app.edge(mqtt("{truck}/slow"))
def slow(truck: str, data: bytes, event: Event) -> None:
    look()
@app.edge(mqtt("{truck}/waits"))
async def waits(truck: str, data: bytes) -> None:
    look()
    await asyncio.sleep(0)
    look()
"""
    async with bench(tmp_path, tells) as b:
        look = b.dispatcher.functions["fast"].call.__globals__
        look["words"] = words = b.dispatcher.words
        for topic in ("7/fast", "7/fast", "7/slow", "7/waits"):
            await b.message(topic, b"x", reply=False)
        seen = look["seen"]
        assert [function for _, function, _ in seen] == [1, 1, 2, 3, 3]
        assert [event for _, _, event in seen] == [
            digest(topic, b"x") for topic in ("7/fast", "7/fast", "7/slow", "7/waits", "7/waits")
        ]
        assert all(start > 0 for start, _, _ in seen)
        assert words[START] == 0


def test_a_timeout_is_told_in_every_protocols_words() -> None:
    words = REFUSALS["timeout"]
    assert (words.http, words.coap, words.sip, words.mqtt5, words.later) == (504, "5.04", 504, 0x83, False)


async def test_what_a_stream_runs_is_stopped_too(tmp_path: Path, watched: Watched) -> None:
    async with bench(tmp_path, STREAMS) as b:
        watched.over(b)
        ticket = await b.message("7/x", {"celsius": 9.0})
        assert ticket is not None
        assert ticket.refusal is not None
        assert ticket.refusal.kind == "timeout"
        await b.message("7/x", {"celsius": 1.0})
        assert b.sent == [("passed", b"1.0")]
