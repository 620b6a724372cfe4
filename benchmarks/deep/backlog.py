"""A backlog drains: how fast, what live events wait meanwhile, and whether the order of each key is kept.

One node whose outbox was filled beforehand, and its hub, as real processes; devices publish live from the
moment the hub is there. The same live load is measured again when the backlog is in the lake.
"""

import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec import Struct
from tests.faults.fleet import Fleet, until

from benchmarks.deep.rows import fill
from benchmarks.deep.sites import Stream, Watched, app_in, percentile
from benchmarks.report import Bar, Figure
from benchmarks.rig.processes import BenchError
from rimward.edge.config import OutboxConfig

RATE = 1_000.0  # live events a second
ROWS, ROWS_FULL = 1_000_000, 10_000_000
AFTER = 15.0  # seconds of the live load without a backlog
PATIENCE = 900.0  # seconds that a backlog may take


class Drain(Struct):
    """What was seen."""

    rate: float  # rows a second, from the first commit to the last
    live: list[float]  # seconds of live events while it drained, sorted
    after: list[float]  # the same without a backlog
    unordered: int  # rows that came before an earlier one of their sensor


def figures(rows: int) -> list[Figure]:
    """Drain one backlog.

    Raises:
        BenchError: rows are missing.
    """
    found = drain(rows)
    ours, after = (percentile(one, 0.99) * 1e3 for one in (found.live, found.after))
    return [
        Figure(
            "backlog drained, to the live rate", found.rate / RATE, "times", Bar(">=", 20),
            note=f"{rows:,} rows at {found.rate:,.0f} a second beside {RATE:,.0f} live events a second",
        ),
        Figure(
            "live event to row meanwhile, p99 to without", ours / after, "times", Bar("<=", 1.2),
            note=f"p99 {after:.0f} → {ours:.0f} ms, p50 {percentile(found.after, 0.5) * 1e3:.0f} → "
            f"{percentile(found.live, 0.5) * 1e3:.0f} ms",
        ),
        Figure("rows before an earlier one of their key", found.unordered, "", Bar("<=", 0)),
    ]  # fmt: skip


def drain(rows: int) -> Drain:
    """Fill an outbox, start everything, and watch both tables."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, ExitStack() as stack:
        folder = Path(scratch)
        room = OutboxConfig(max_bytes=16 << 30)
        fleet = Fleet(folder / "fleet", app_in(folder), nodes=1, outbox=(room,))
        schema = next(fact.fingerprint for fact in fleet.manifest.facts if fact.table == "warm")
        fill(fleet.nodes[0].folder, rows, random.Random(7), schema)
        lake = fleet.hub.folder / "lake"
        backlog = Watched(lake / "warm")
        live = Watched(lake / "live")
        stack.enter_context(backlog)
        stack.enter_context(live)
        stack.enter_context(fleet)
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
    for _, columns in watched.rows("sensor", "_seq"):
        for sensor, seq in zip(columns["sensor"], columns["_seq"], strict=True):
            found += seq <= last.get(sensor, 0)
            last[sensor] = seq
    return found
