"""Measures this package's operators and window job in one process; prints one JSON object, ns an event."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import Struct

from benchmarks.rig.nowhere import Nowhere
from benchmarks.streams.job import readings, windows
from rimward.app.loading import load
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.payloads import decoder_for
from rimward.edge.dispatch.types import Message, Sender
from rimward.edge.dispatch.weaving import Weaver
from rimward.edge.outbox import Outbox
from rimward.events import to_ns
from rimward.streams import (
    AggFold,
    Aside,
    AsOf,
    Chain,
    Counting,
    Fences,
    Followed,
    Joined,
    LastFold,
    Line,
    Near,
    Operator,
    Polygon,
    Polygons,
    Sessions,
    Sliding,
    Tumbling,
    Windowed,
    getter,
    run,
)
from rimward.streams.operators import (
    Change,
    Deadband,
    Debounce,
    Dedupe,
    Ewma,
    Filter,
    Hampel,
    Map,
    Ordered,
    Throttle,
)
from rimward.streams.values import PLAIN

SECOND = 1_000_000_000  # ns
EVENTS, BATCHES = 2_000, 15
APP = """from datetime import datetime

from msgspec import Struct

from rimward import App, Stream, mqtt

app = App("bench", compat="2026-11-01")


class Reading(Struct):
    device: str
    celsius: float
    at: datetime


class Minute(Struct):
    device: str
    mean: float
    highest: float


minutes = []


@app.stream(mqtt("t/{device}", time="at"))
def per_minute(readings: Stream[Reading]) -> Stream[Minute]:
    windows = readings.key_by("device").tumbling("1m")
    return windows.agg(Minute, mean=("celsius", "mean"), highest=("celsius", "max"))


@app.edge(per_minute)
def keep(minute: Minute) -> None:
    minutes.append(minute)
"""


def _left(left: Any, right: Any) -> Any:
    del right
    return left


class Value(Struct):
    """What the operators get."""

    x: float
    place: float = 0.0  # moves slowly: one event in 250 crosses a fence


FOLD = AggFold({"mean": ("x", "mean"), "highest": ("x", "max")})
X = getter("x")
SQUARE = Polygons({"a": Polygon([[(2.0, 0.0), (9.0, 0.0), (9.0, 1.0), (2.0, 1.0)]])})


def windowed(make: Callable[[], Any], lateness: int = 2 * SECOND) -> Callable[[Aside], Operator]:
    return lambda aside: Windowed(make(), lateness, aside, lambda value: value)


SIMPLE: dict[str, Callable[[Aside], Operator]] = {
    "filter": lambda _: Filter(lambda value: value.x > 3),
    "map": lambda _: Map(lambda value: value.x),
    "deadband": lambda _: Deadband(X, 2),
    "change": lambda _: Change(X),
    "throttle": lambda _: Throttle(10 * SECOND),
    "dedupe": lambda _: Dedupe(X, 60 * SECOND),
    "debounce": lambda aside: Debounce(2 * SECOND, aside),
    "ewma": lambda _: Ewma(X, 0.1, 10),
    "geofence": lambda aside: Fences(SQUARE, getter("place"), lambda _: 0.5, None, aside),
    "sample": windowed(lambda: Tumbling(10 * SECOND, 2 * SECOND, LastFold())),
    "tumbling, mean and max": windowed(lambda: Tumbling(60 * SECOND, 2 * SECOND, FOLD)),
}
OTHERS: dict[str, Callable[[Aside], Operator]] = {
    "hampel of 25": lambda _: Hampel(X, 25),
    "ordered": lambda aside: Ordered(2 * SECOND, aside),
    "sliding 5m every 1m": windowed(lambda: Sliding(300 * SECOND, 60 * SECOND, 2 * SECOND, FOLD)),
    "session": windowed(lambda: Sessions(30 * SECOND, 2 * SECOND, FOLD)),
    "count_window of 100": windowed(lambda: Counting(100, 100, FOLD), 0),
    "tumbling, p99": windowed(lambda: Tumbling(60 * SECOND, 2 * SECOND, AggFold({"p": ("x", "p99")}))),
}
PAIRS: dict[str, Callable[[Aside], Any]] = {
    "join": lambda aside: Near(SECOND, 2 * SECOND, _left, aside, (PLAIN, PLAIN)),
    "asof": lambda aside: AsOf(None, 2 * SECOND, _left, aside, (PLAIN, PLAIN)),
    "followed_by": lambda aside: Followed(5 * SECOND, 2 * SECOND, _left, aside, (PLAIN, PLAIN)),
}
VALUES = [Value(float(number * 7 % 11), number / 250 % 11) for number in range(EVENTS)]


def cost(make: Callable[[Aside], Chain], sources: int = 1) -> float:
    """Return what an event costs in a chain, ns: the median of some batches, each with a new chain."""
    batches: list[float] = []
    for _ in range(BATCHES):
        chain = make(Aside())
        begun = time.thread_time_ns()
        for number, value in enumerate(VALUES):
            at = number * SECOND
            run(chain, number % sources, (at, value, None), at)
        batches.append((time.thread_time_ns() - begun) / EVENTS)
    return median(batches)


def operators() -> dict[str, float]:
    """Return what an event costs in each operator."""
    found: dict[str, float] = {}
    for name, make in (SIMPLE | OTHERS).items():
        found[name] = cost(lambda aside, make=make: Line([make(aside)], aside))
    for name, make in PAIRS.items():
        found[name] = cost(
            lambda aside, make=make: Joined(
                Line([], aside, 0), Line([], aside, 1), make(aside), Line([], aside), aside
            ),
            sources=2,
        )
    return found


async def job(folder: Path, count: int) -> float:
    """Return what a reading costs from its bytes to its window, ns, with a dispatcher on a real outbox."""
    file = folder / "app.py"
    file.write_text(APP)
    app, nowhere = load(str(file)), Nowhere()
    clocks = Clocks(time.monotonic_ns, lambda: 1_800_000_000 * SECOND)
    async with Outbox(folder, OutboxConfig(), clocks.wall) as outbox:
        tracing = Tracing("node-1", b"12345678", nowhere, lambda: "1")
        dispatcher = Dispatcher(app, "node-1", clocks, outbox, tracing)
        dispatcher.router = nowhere  # pyright: ignore[reportAttributeAccessIssue] (it takes what a router takes)
        sender = Sender("a", "mqtt5")
        messages = [(f"t/{device}", body) for device, body in readings(count)]
        begun = time.thread_time_ns()
        for topic, body in messages:
            dispatcher.message(Message(topic, body, 0, sender, time.monotonic_ns()))
        for key in list(dispatcher.streams["per_minute"].keys._hot.values()):
            key.arrived -= 3600 * SECOND  # an hour later
            dispatcher.streams["per_minute"].keys.touched(key)
        dispatcher.feeder.advance()
        took = time.thread_time_ns() - begun
    minutes = sys.modules["rimward_app_app"].minutes
    assert len(minutes) == windows(count), (len(minutes), windows(count))
    return took / count


def alone(folder: Path, count: int) -> float:
    """Return what a reading costs from its bytes to its window, ns, in the operators without a node."""
    file = folder / "app.py"
    file.write_text(APP)
    [declaration] = load(str(file)).streams.values()
    weaver = Weaver(declaration, Aside(), lambda _: lambda _: None)
    decode = decoder_for(declaration.payloads[0])
    bodies = [body for _, body in readings(count)]
    chains: dict[str, Chain] = {}
    out = 0
    begun = time.thread_time_ns()
    for body in bodies:
        value = decode(body)
        at = to_ns(value.at)
        chain = chains.get(value.device)
        if chain is None:
            chain = chains[value.device] = weaver.chain((value.device,))
        out += len(run(chain, 0, (at, value, None), at))
    for chain in chains.values():
        out += len(chain.advance(1 << 62))
    took = time.thread_time_ns() - begun
    assert out == windows(count), (out, windows(count))
    return took / count


def main(arguments: list[str]) -> int:
    """Print what is asked for: the operators, or the job of so many readings in a node and without one."""
    if arguments[0] == "operators":
        print(json.dumps(operators()))
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        count = int(arguments[1])
        print(
            json.dumps({"node": asyncio.run(job(Path(folder), count)), "alone": alone(Path(folder), count)})
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
