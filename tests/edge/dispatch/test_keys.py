"""Keys of a stream in memory and on disk: however few are in memory, what leaves is the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.edge.dispatch.bench import bench, forwarded

from rimward.app.manifest import FactSpec
from rimward.edge.dispatch import feeding
from rimward.edge.dispatch.keys import Ground, Key, Keys, KeysFull, Reviving, StreamsConfig
from rimward.events import OutboxFull
from rimward.streams import ApplyFold, Aside, Chain, Line, Tumbling, Windowed, run

FORGET = 1_000  # ns
Cells = dict[tuple[str, str], bytes]


class Disk:
    """What an outbox is to keys."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self.touched: dict[tuple[str, str], Callable[[], bytes | None]] = {}

    def touch(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        self.touched[space, key] = encode

    def find(self, space: str, key: str) -> bytes | None:
        encode = self.touched.get((space, key))
        return encode() if encode is not None else self.cells.get((space, key))

    def keys(self, space: str, since: str, until: str, most: int) -> list[str]:
        places = sorted(place for place in self.cells if place not in self.touched)
        return [key for of, key in places if of == space and since <= key < until][:most]

    def count(self, space: str) -> int:
        return sum(of == space for of, _ in self.cells)

    def commit(self) -> None:
        for place, encode in self.touched.items():
            value = encode()
            if value is None:
                self.cells.pop(place, None)
            else:
                self.cells[place] = value
        self.touched.clear()


class Node:
    """One start of a node with one stream: windows of 10 ns, 5 ns late."""

    def __init__(self, cells: Cells, boot: str, now: int, in_memory: int = 2, most: int = 100) -> None:
        self.now = now  # monotonic ns
        self.disk = Disk(cells)
        config = StreamsConfig(keys_in_memory=in_memory, max_keys=most)
        ground = Ground(self.disk, boot, lambda: self.now, lambda _: lambda _: None, config, {})
        self.keys = Keys(ground, "s", Reviving(self._chain, FORGET, Any, lambda old: {"windows": [0, old]}))
        self.out: list[tuple[str, int, list[int]]] = []

    def _chain(self, names: tuple[str, ...]) -> Chain:
        del names
        aside = Aside()
        windows = Windowed(Tumbling(10, 5, ApplyFold(list[int])), 5, aside, lambda value: value)
        return Line([windows], aside, labels=("windows",))

    def feed(self, text: str, time: int, value: int) -> None:
        key = self.keys.get(text, (text,))
        if key.clock is None or time > key.clock:
            key.clock, key.arrived = time, self.now
        self._leave(key, run(key.chain, 0, (time, value, None), key.clock))
        key.deadline = key.chain.deadline()
        self.keys.touched(key)

    def look(self) -> None:
        for key in self.keys.waking(self.now):
            if self.keys.is_over(key, self.now) and key.chain.deadline() is None:
                self.keys.forgotten(key)
                continue
            self._leave(key, key.chain.advance(key.clock_at(self.now)))
            key.deadline = key.chain.deadline()
            self.keys.touched(key)

    def _leave(self, key: Key, items: Any) -> None:
        self.out += [(key.text, time, value) for time, value, _ in items]


Did = tuple[str, int] | int | str
STEPS: st.SearchStrategy[list[Did]] = st.lists(
    st.tuples(st.sampled_from("abcde"), st.integers(0, 60)) | st.sampled_from([7, "commit", "look"]),
    max_size=40,
)


@given(STEPS)
def test_however_few_keys_are_in_memory_the_same_leaves(steps: list[Did]) -> None:
    outs: list[list[tuple[str, int, list[int]]]] = []
    for in_memory in (1, 2, 100):
        node = Node({}, "b1", 1_000, in_memory)
        for number, step in enumerate(steps):
            if isinstance(step, tuple):
                node.feed(step[0], step[1], number)
            elif step == "commit":
                node.disk.commit()
            else:
                node.now += step if isinstance(step, int) else 0
            assert node.keys.in_memory <= in_memory
        assert len(node.keys) == len({step[0] for step in steps if isinstance(step, tuple)})
        node.disk.commit()
        node.now += 500
        for _ in range(3):  # a key that leaves memory is found on disk once that is committed
            node.now += 2_000_000_000 if node.keys.due() else 0
            node.look()
            node.disk.commit()
        outs.append(sorted(node.out))
    assert outs[0] == outs[1] == outs[2]


@pytest.mark.parametrize("in_memory", [1, 100])
def test_a_silent_keys_window_closes_by_the_clock_after_a_restart_too(in_memory: int) -> None:
    cells: Cells = {}
    first = Node(cells, "b1", 1_000, in_memory)
    for text in "abc":
        first.feed(text, 3, 1)
    first.disk.commit()
    second = Node(cells, "b0", 50, in_memory)  # a machine that has started anew: its clock is behind
    second.look()
    second.disk.commit()
    assert second.out == [], "its device has had no time to speak"
    second.now += 2_000_000_000
    second.look()
    assert sorted(second.out) == [(text, 10, [1]) for text in "abc"]


def test_a_key_that_stays_silent_is_forgotten_with_all_that_is_on_disk() -> None:
    cells: Cells = {}
    node = Node(cells, "b1", 1_000)
    for text in "abc":
        node.feed(text, 3, 1)
    for _ in range(4):
        node.disk.commit()
        node.now += 2_000_000_000
        node.look()
    node.disk.commit()
    assert len(node.keys) == 0
    assert cells == {}
    assert node.keys.due() is None


def test_a_key_beyond_the_limit_is_refused_and_others_go_on() -> None:
    node = Node({}, "b1", 1_000, most=2)
    node.feed("a", 1, 1)
    node.feed("b", 1, 1)
    with pytest.raises(KeysFull, match="has 2 keys, the limit"):
        node.feed("c", 1, 1)
    node.feed("a", 2, 2)


def test_windows_of_a_version_before_go_on() -> None:
    tumbling = Tumbling(10, 5, ApplyFold(list[int]))
    tumbling.insert(3, 7)
    cells = {("stream:s", "a"): msgspec.msgpack.encode((("a",), 3, tumbling.snapshot()))}
    for in_memory in (0, 10):
        node = Node(dict(cells), "b1", 1_000, in_memory)
        node.look()
        node.disk.commit()
        node.now += 2_000_000_000
        node.look()
        assert node.out == [("a", 10, [7])]


STREAM = """
@app.stream(mqtt("t/{truck}", time="at"))
def means(readings: Stream[Timed]) -> Stream[Mean]:
    windows = readings.key_by("truck").tumbling("1s", lateness="100ms")
    return windows.agg(Mean, mean=("celsius", "mean")).forward()
@app.edge(means)
async def follow(truck: str, mean: Mean) -> None:
    app.publish(f"mean/{truck}", mean)
"""
FEW = StreamsConfig(keys_in_memory=2)


async def test_keys_that_are_on_disk_alone_are_read_when_their_devices_speak(tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    for half in (1.0, 3.0):  # the node starts anew between them
        async with bench(tmp_path, STREAM, streams=FEW) as b:
            for truck in range(6):
                await b.message(f"t/{truck}", {"celsius": half + truck, "at": start})
            assert b.dispatcher.streams["means"].keys.in_memory == 2
    async with bench(tmp_path, STREAM, streams=FEW) as b:
        for truck in range(6):
            await b.message(f"t/{truck}", {"celsius": 0.0, "at": start + timedelta(seconds=2)})
        assert b.sent == [
            (f"mean/{truck}", f'{{"truck":"{truck}","mean":{2.0 + truck}}}'.encode()) for truck in range(6)
        ]
        assert await forwarded(tmp_path) == {"mean": 6}


async def test_a_window_that_finds_no_room_is_kept_and_comes_later(tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    async with bench(tmp_path, STREAM) as b:
        admit = b.dispatcher.admit

        def full(spec: FactSpec, about: int, values: tuple[object, ...]) -> None:
            raise OutboxFull("outbox: no room")

        b.dispatcher.admit = full
        for second in (0, 2):
            ticket = await b.message("t/7", {"celsius": 1.5, "at": start + timedelta(seconds=second)})
            assert ticket is not None
            assert ticket.refusal is None, "the reading is in its window, and the device is told so"
        assert b.dispatcher.counters["stream_full:means"] == 1
        assert b.sent == []
    async with bench(tmp_path, STREAM) as b:
        assert admit is not b.dispatcher.admit
        await b.message("t/7", {"celsius": 1.5, "at": start + timedelta(seconds=2)})
        assert b.sent == [("mean/7", b'{"truck":"7","mean":1.5}')]
        assert await forwarded(tmp_path) == {"mean": 1}


async def test_a_value_without_room_is_given_up_where_its_stream_says_so(tmp_path: Path) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    dropping = STREAM.replace('time="at")', 'time="at"), on_full="drop"', 1)
    async with bench(tmp_path, dropping) as b:
        admit = b.dispatcher.admit
        b.dispatcher.admit = _full
        for second in (0, 2):
            await b.message("t/7", {"celsius": 1.5, "at": start + timedelta(seconds=second)})
        assert b.dispatcher.streams["means"].dropped == 1
        b.dispatcher.admit = admit
        await b.message("t/7", {"celsius": 2.5, "at": start + timedelta(seconds=4)})
        assert b.sent == [("mean/7", b'{"truck":"7","mean":1.5}')], "of the second window alone"
        assert await forwarded(tmp_path) == {"mean": 1}


async def test_a_key_whose_values_find_no_room_refuses_messages_at_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "HELD", 2)
    start = datetime.now(UTC).replace(microsecond=0)
    async with bench(tmp_path, STREAM) as b:
        b.dispatcher.admit = _full
        kinds: list[str | None] = []
        for second in range(0, 10, 2):
            ticket = await b.message("t/7", {"celsius": 1.5, "at": start + timedelta(seconds=second)})
            kinds.append(ticket.refusal.kind if ticket and ticket.refusal else None)
        assert kinds == [None, None, None, "full", "full"]
        assert b.dispatcher.streams["means"].full == 2


def _full(spec: FactSpec, about: int, values: tuple[object, ...]) -> None:
    raise OutboxFull("outbox: no room")
