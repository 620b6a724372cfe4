"""Measures one node on a file of many cells; prints one JSON object, each name with its unit at the end."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import msgspec
import uvloop

from benchmarks.rig.nowhere import Nowhere
from rimward.app.loading import load
from rimward.edge.cells import StatesConfig
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.types import Message, Sender, Ticket
from rimward.edge.outbox import Outbox, OutboxCore

APP = """from datetime import datetime

from msgspec import Struct

from rimward import App, State, States, http, mqtt

app = App("bench", compat="2026-11-01")


@app.state(key="truck", durable=True)
class Truck(Struct):
    celsius: float | None = None
    count: int = 0
    at: datetime | None = None


@app.edge(mqtt("t/{truck}"))
def take(celsius: float, state: State[Truck]) -> None:
    state.value.celsius = celsius
    state.value.count += 1


@app.edge(mqtt("s/{truck}"))
def see(celsius: float, state: State[Truck]) -> None:
    if state.value.count < 0:
        raise ValueError
"""
BATCH = 10_000  # cells of one commit
CALLS = 20_000
READS = 2_000
SENDER = Sender("bench", "mqtt5")


def key(number: int) -> str:
    return f"truck-{number:07d}"


def fill(folder: Path, cells: int) -> None:
    """Make a file with so many cells, a few numbers each."""
    (folder / "app.py").write_text(APP)
    core = OutboxCore(folder / "outbox.db", time.time_ns, OutboxConfig())
    for first in range(0, cells, BATCH):
        values = {
            ("state:Truck", key(number)): msgspec.msgpack.encode(
                {"celsius": number / 7, "count": number, "at": "2026-01-01T12:00:00Z"}
            )
            for number in range(first, min(cells, first + BATCH))
        }
        core.commit([], dict(values), [])
    core.close()


def memory() -> float:
    """Return what this process has in memory, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def measured(folder: Path, cells: int, config: StatesConfig) -> dict[str, float]:
    """Return what a start, its memory and calls take."""
    app, nowhere = load(str(folder / "app.py")), Nowhere()
    clocks = Clocks(time.monotonic_ns, time.time_ns)
    before, begun, cpu = memory(), time.perf_counter(), time.process_time()
    found: dict[str, float] = {}
    async with Outbox(folder, OutboxConfig(), time.time_ns) as outbox:
        tracing = Tracing("node-1", b"12345678", nowhere, lambda: "1")
        dispatcher = Dispatcher(app, "node-1", clocks, outbox, tracing, states=config)
        dispatcher.router = nowhere  # pyright: ignore[reportAttributeAccessIssue] (it takes what a router takes)
        found["start, ms"] = (time.perf_counter() - begun) * 1e3
        found["start, CPU, ms"] = (time.process_time() - cpu) * 1e3
        found["memory after the start, mb"] = memory() - before
        chance = random.Random(7)
        few = [key(number) for number in chance.sample(range(cells), min(1_000, cells))]
        many = [key(number) for number in chance.sample(range(cells), min(CALLS, cells))]
        few *= CALLS // len(few)
        found["call that reads, of 1,000 cells, us"] = await calls(dispatcher, "s", few)
        found["call that reads, of all cells, us"] = await calls(dispatcher, "s", many)
        found["call that changes, of 1,000 cells, us"] = await calls(
            dispatcher, "t", few * (CALLS // len(few))
        )
        found["call that changes, of all cells, us"] = await calls(dispatcher, "t", many)
        found["memory after the calls, mb"] = memory() - before
        if not next(iter(dispatcher.cells.values())).drawer.complete:
            found |= reads(outbox, folder / "outbox.db", [key(chance.randrange(cells)) for _ in range(READS)])
        begun_items = time.thread_time_ns()
        count = sum(1 for _ in next(iter(dispatcher.cells.values())).items())
        found["items(), a cell, ns"] = (time.thread_time_ns() - begun_items) / count
    assert count == cells, (count, cells)
    return found


async def calls(dispatcher: Dispatcher, topic: str, keys: Sequence[str]) -> float:
    """Return what a message takes of the loop's CPU, µs: its commit is another thread's."""
    took = 0
    for first in range(0, len(keys), 256):
        tickets: list[Ticket | None] = []
        begun = time.thread_time_ns()
        for one in keys[first : first + 256]:
            message = Message(f"{topic}/{one}", b"9.5", 1, SENDER, time.monotonic_ns())
            tickets.append(dispatcher.message(message))
        took += time.thread_time_ns() - begun
        for ticket in tickets:
            await _ended(ticket)
    return took / len(keys) / 1e3


async def _ended(ticket: Ticket | None) -> None:
    if ticket is not None and not ticket.done:
        done = asyncio.Event()
        ticket.on_done = lambda _: done.set()
        await done.wait()


def reads(outbox: Outbox, file: Path, keys: Sequence[str]) -> dict[str, float]:
    """Return how long a cell's read keeps the loop, with its page in the page cache and without, µs."""
    found: dict[str, float] = {}
    for name, forget in (("cached", _nothing), ("not cached", _forget)):
        times: list[int] = []
        for one in keys:
            forget(file)
            begun = time.perf_counter_ns()
            outbox.find("state:Truck", one)
            times.append(time.perf_counter_ns() - begun)
        times.sort()
        found[f"read of a cell, {name}, p50, us"] = median(times) / 1e3
        found[f"read of a cell, {name}, p99, us"] = times[len(times) * 99 // 100] / 1e3
        found[f"read of a cell, {name}, longest, us"] = times[-1] / 1e3
    return found


def _nothing(file: Path) -> None:
    """Leave the page cache as it is."""


def _forget(file: Path) -> None:
    """Ask the kernel to forget a file's pages."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Fill a file, or measure a node on it with some or all of its cells in memory."""
    what, folder, cells = arguments[0], Path(arguments[1]), int(arguments[2])
    configs: dict[str, Callable[[], StatesConfig]] = {
        "some": StatesConfig,
        "all": lambda: StatesConfig(in_memory=2 * cells),
    }
    if what == "fill":
        fill(folder, cells)
        print("{}")
    else:
        print(json.dumps(uvloop.run(measured(folder, cells, configs[what]()))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
