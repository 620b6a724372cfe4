"""A backlog drains: how fast, what live events wait meanwhile, and whether the order of each key is kept.

One node whose outbox was filled beforehand, and its hub, as real processes; devices publish live from the
moment the hub is there. The same live load is measured again when the backlog is in the lake. Then the same
with the backlog on eight other nodes that come back at once: their deep processes alone, in one process.
"""

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct
from tests.faults.fleet import Fleet, until

from benchmarks.deep.rows import fill
from benchmarks.deep.sites import Stream, Watched, app_in, percentile
from benchmarks.report import Bar, Figure
from benchmarks.rig.processes import BenchError
from rimward.edge.config import OutboxConfig
from rimward.edge.deep.config import read
from rimward.edge.deep.process import DeepProcess

RATE = 1_000.0  # live events a second
ROWS, ROWS_FULL = 1_000_000, 10_000_000
NODES = 8  # that come back
SHARE = 50_000  # rows that each of them has
AFTER = 15.0  # seconds of the live load without a backlog
PATIENCE = 900.0  # seconds that a backlog may take


class Drain(Struct):
    """What was seen."""

    rate: float  # rows a second, from the first commit to the last
    live: list[float]  # seconds of live events while it drained, sorted
    after: list[float]  # the same without a backlog
    unordered: int  # rows that came before an earlier one of their sensor


def figures(rows: int) -> list[Figure]:
    """Drain one backlog, then those of a fleet.

    Raises:
        BenchError: rows are missing.
    """
    found, fleet = drain(rows), drain(SHARE * NODES, NODES)
    return [
        Figure(
            "backlog drained, to the live rate", found.rate / RATE, "times", Bar(">=", 20),
            note=f"{rows:,} rows at {found.rate:,.0f} a second beside {RATE:,.0f} live events a second",
        ),
        _meanwhile("live event to row meanwhile, p99 to without", found, Bar("<=", 1.2)),
        Figure("rows before an earlier one of their key", found.unordered, "", Bar("<=", 0)),
        Figure(
            f"backlogs of {NODES} other nodes drained, to the live rate", fleet.rate / RATE, "times",
            note=f"{SHARE:,} rows of each at {fleet.rate:,.0f} a second in all",
        ),
        _meanwhile("live event to row beside them, p99 to without", fleet, None),
    ]  # fmt: skip


def _meanwhile(name: str, found: Drain, bar: Bar | None) -> Figure:
    before, ours = (
        [percentile(one, share) * 1e3 for share in (0.99, 0.5)] for one in (found.after, found.live)
    )
    note = f"p99 {before[0]:.0f} → {ours[0]:.0f} ms, p50 {before[1]:.0f} → {ours[1]:.0f} ms"
    return Figure(name, ours[0] / before[0], "times", bar, note=note)


def drain(rows: int, others: int = 0) -> Drain:
    """Fill the outbox, or those of so many other nodes, start everything, and watch both tables."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        room = OutboxConfig(max_bytes=16 << 30)
        fleet = Fleet(folder / "fleet", app_in(folder), nodes=1 + others, outbox=(room,))
        schema = next(fact.fingerprint for fact in fleet.manifest.facts if fact.table == "warm")
        returning = [node.folder for node in fleet.nodes[1:]]
        del fleet.nodes[1:]
        for folder_ in returning or [fleet.nodes[0].folder]:
            fill(folder_, rows // max(1, others), random.Random(7), schema)
        lake = fleet.hub.folder / "lake"
        backlog = Watched(lake / "warm")
        live = Watched(lake / "live")
        stack.enter_context(backlog)
        stack.enter_context(live)
        stack.enter_context(fleet)
        stack.enter_context(deep_of(returning))
        with Stream(fleet.ports[0], "live/d/live", RATE) as stream:
            until(lambda: backlog.count() >= rows, "the backlog is in the lake", PATIENCE)
            over = time.monotonic_ns()
            time.sleep(AFTER)
        until(lambda: live.count() >= stream.sent, "live rows")
        backlog.stop()
        live.stop()
        seconds = (backlog.seen[-1] - _first(backlog)) / 1e9
        if backlog.count() != rows or live.count() != stream.sent:
            raise BenchError(
                f"{backlog.count()} of {rows} rows and {live.count()} of {stream.sent} live ones"
            )
        return Drain(rows / seconds, live.delays(end=over), live.delays(begin=over), _unordered(backlog))


def _first(watched: Watched) -> int:
    return next(at for at, _ in watched.rows("_seq"))


def _unordered(watched: Watched) -> int:
    last: dict[Any, int] = {}
    found = 0
    for _, columns in watched.rows("_node", "sensor", "_seq"):
        for node, sensor, seq in zip(columns["_node"], columns["sensor"], columns["_seq"], strict=True):
            found += seq <= last.get((node, sensor), 0)
            last[node, sensor] = seq
    return found


@contextmanager
def deep_of(nodes: list[Path]) -> Generator[None]:
    """Run the deep processes of some nodes, as one process."""
    if not nodes:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.deep.backlog", *map(str, nodes)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # their logs
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _together(nodes: list[Path]) -> None:
    deep = [DeepProcess(read(node / "run" / "deep.json")) for node in nodes]
    await asyncio.gather(*(one.run() for one in deep))


if __name__ == "__main__":
    asyncio.run(_together([Path(one) for one in sys.argv[1:]]))
