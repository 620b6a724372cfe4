"""Traces and snapshots that tests write down."""

from rimward.observe import FunctionStats, Histogram, RowRef, Snapshot, Stage, Trace
from rimward.observe.store import Row, trace_row


def trace(n: int, sender: str = "7") -> Trace:
    return Trace(
        id=f"{n:032x}",
        node="node-1",
        function="guard",
        source="trucks/7/temperature",
        sender=sender,
        at=n % (1 << 60),
        stages=[Stage("decode", 1, 6), Stage("function guard", 6, 9)],
        rows=[RowRef("too_warm", "12-3fa9c2d1", 4)],
        actions=1,
        error=None,
        over_budget=n % 2 == 0,
    )


def rows(*numbers: int) -> list[Row]:
    return [trace_row(trace(n)) for n in numbers]


def snapshot(at: int = 1) -> Snapshot:
    histogram = Histogram()
    histogram.record(12_345)
    stats = FunctionStats(calls=1, errors=0, overruns=0, budget=0.005, stages={"total": histogram.sparse()})
    return Snapshot(
        at=at,
        started_at=0,
        node="node-1",
        app="app.py",
        digest="ab",
        functions={"guard": stats},
        gateways={"mqtt": {"connections": 3}},
        outbox={"waiting": 2.0},
        counters={"events": 5},
        health={},
    )
