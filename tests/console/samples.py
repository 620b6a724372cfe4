"""Plain things to look at: what a healthy node wrote, and small changes of it."""

from typing import Any

from msgspec.structs import replace

from rimward.console.model import Balance, Link, Process, Seen
from rimward.observe import FunctionStats, Histogram, Snapshot, Stage, Trace

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND


def function(*, ns: int = 100_000, calls: int = 100, **changes: Any) -> FunctionStats:
    """Return a function whose every call took `ns`."""
    histogram = Histogram()
    for _ in range(calls):
        histogram.record(ns)
    stats = FunctionStats(
        calls=calls, errors=0, overruns=0, budget=0.005, stages={"total": histogram.sparse()}
    )
    return replace(stats, **changes)


def snapshot(at: int = NOW, **changes: Any) -> Snapshot:
    plain = Snapshot(
        at=at,
        started_at=NOW - 3600 * SECOND,
        node="node-1",
        app="examples/wearables/app.py",
        digest="ab12",
        functions={"stumble": function()},
        gateways={"mqtt": {"connections": 4}},
        outbox={"bytes": 4096.0, "max_bytes": 1e9},
        counters={"events": 100, "actions": 3, "forwards": 20},
        health={},
    )
    return replace(plain, **changes)


def trace(**changes: Any) -> Trace:
    plain = Trace(
        id="4bf92f3577b34da6a3ce929d0e0e4736",
        node="node-1",
        function="stumble",
        source="wearers/1/motion",
        sender="watch-1",
        at=NOW,
        stages=[Stage("function", NOW, NOW + 40_000), Stage("commit", NOW + 40_000, NOW + 2_040_000)],
        rows=[],
    )
    return replace(plain, **changes)


def seen(**changes: Any) -> Seen:
    plain = Seen(
        at=NOW + SECOND // 2,
        snapshot=snapshot(),
        traces=(trace(),),
        processes=(Process("node", 4711), Process("hub", 4712)),
        link=Link(connected=True, at=NOW, rtt=0.0004),
        ledger=(Balance("node-1", "motion", forwarded=20, stored=20, waiting=0),),
    )
    return replace(plain, **changes)
