"""Event to row: how long after its device sent it an event can be queried, and what it takes on the link.

One node and its hub as real processes, devices at QoS 1. A row counts when its commit lies in the table's
log; the log is looked at every two milliseconds, and no query is run meanwhile.
"""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.faults.fleet import Fleet, until

from benchmarks.deep.sites import Stream, Watched, app_in, percentile
from benchmarks.report import Bar, Figure, single
from benchmarks.rig.processes import BenchError

RATES = {"live": 1_000.0, "alarm": 20.0}  # events a second
WARM = 3.0  # seconds


def figures(rounds: int, seconds: float = 10.0) -> list[Figure]:
    """Measure both priorities at once.

    Raises:
        BenchError: a row is missing.
    """
    normal, critical = list[list[float]](), list[list[float]]()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        with Fleet(folder / "fleet", app_in(folder), nodes=1) as fleet:
            observe(fleet, WARM)
            for _ in range(rounds):
                found = observe(fleet, seconds)
                normal.append(found["live"])
                critical.append(found["alarm"])
    load = f"{RATES['live']:,.0f} events a second, {RATES['alarm']:.0f} critical ones beside them"
    return [
        single("event to row, p50", "ms", _at(normal, 0.5), Bar("<=", 1_000), load),
        single("event to row, p99", "ms", _at(normal, 0.99), Bar("<=", 3_000)),
        single("critical event to row, p50", "ms", _at(critical, 0.5), Bar("<=", 300)),
        single("critical event to row, p99", "ms", _at(critical, 0.99)),
    ]


def observe(fleet: Fleet, seconds: float) -> dict[str, list[float]]:
    """Publish for a time; return by table the seconds from sending to row, sorted."""
    lake = fleet.hub.folder / "lake"
    streams = {name: Stream(fleet.ports[0], f"live/d/{name}", rate) for name, rate in RATES.items()}
    with ExitStack() as stack:
        watches = {name: stack.enter_context(Watched(lake / name)) for name in RATES}
        with streams["live"], streams["alarm"]:
            time.sleep(seconds)
        for name, stream in streams.items():
            until(lambda name=name, stream=stream: watches[name].count() >= stream.sent, f"rows of {name}")
    found = {name: watch.delays() for name, watch in watches.items()}
    for name, stream in streams.items():
        if len(found[name]) != stream.sent:
            raise BenchError(f"{name}: {stream.sent} events were sent and {len(found[name])} are rows")
    return found


def _at(rounds: list[list[float]], share: float) -> list[float]:
    return [percentile(one, share) * 1e3 for one in rounds]
