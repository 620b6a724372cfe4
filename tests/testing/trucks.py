"""Trucks with positions, doors and thermometers: an app of streams."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from rimward import App, Fence, Scored, State, Stream, late, mqtt

app = App("trucks", compat="2026-11-01")

TYPES = {"7": "chiller"}
DEPOT = [(13.0, 52.0), (13.2, 52.0), (13.2, 52.2), (13.0, 52.2)]


class Reading(Struct):
    celsius: float
    at: datetime


class Door(Struct):
    open: bool
    at: datetime


class Position(Struct):
    lon: float
    lat: float
    at: datetime


@app.fact
class Step(Struct):
    celsius: float
    truck: str = ""


@app.fact
class Busy(Struct):
    truck: str
    p99: float
    mean: float


@app.fact
class Crossing(Struct):
    truck: str
    fence: str
    what: str


@app.fact
class LeftOpen(Struct):
    truck: str


@app.fact
class Warmed(Struct):
    kind: str
    truck: str = ""


@app.fact
class Missed(Struct):
    truck: str
    celsius: float


@app.fact
class Trip(Struct):
    readings: int
    truck: str = ""


@app.state(key="truck", durable=True)
class Where(Struct):
    fence: str | None = None


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def steps(readings: Stream[Reading]) -> Stream[Step]:
    return readings.key_by("truck").deadband("celsius", width=1.0).map(step).forward()


def step(reading: Reading) -> Step:
    return Step(reading.celsius)


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def busy(readings: Stream[Reading]) -> Stream[Busy]:
    windows = readings.key_by("truck").sliding("2m", every="1m")
    return windows.agg(Busy, p99=("celsius", "p99"), mean=("celsius", "time_weighted_mean")).forward()


@app.edge(late(busy))
def missed(truck: str, reading: Reading) -> None:
    app.forward(Missed(truck, reading.celsius))


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def trips(readings: Stream[Reading]) -> Stream[Trip]:
    return readings.key_by("truck").session("10m").apply(trip).forward()


def trip(readings: Sequence[Reading]) -> Trip:
    return Trip(len(readings))


@app.stream(mqtt("trucks/{truck}/position", time="at"))
def crossings(positions: Stream[Position]) -> Stream[Fence]:
    return positions.key_by("truck").geofence({"depot": DEPOT}, dwell="5m")


@app.edge(crossings)
def crossed(truck: str, fence: Fence, state: State[Where]) -> None:
    state.value.fence = None if fence.what == "exit" else fence.name
    app.forward(Crossing(truck, fence.name, fence.what))


@app.stream(mqtt("trucks/{truck}/door", time="at"))
def left_open(doors: Stream[Door]) -> Stream[Door]:
    doors = doors.key_by("truck")
    return doors.filter(is_open).not_followed_by(doors.filter(is_shut), within="3m")


def is_open(door: Door) -> bool:
    return door.open


def is_shut(door: Door) -> bool:
    return not door.open


@app.edge(left_open)
def alarm(truck: str, door: Door) -> None:
    app.forward(LeftOpen(truck))


@app.stream(mqtt("trucks/{truck}/door", time="at"), mqtt("trucks/{truck}/temperature", time="at"))
def warmed(doors: Stream[Door], readings: Stream[Reading]) -> Stream[Warmed]:
    opened = doors.key_by("truck").filter(is_open)
    warm = readings.key_by("truck").hampel("celsius", size=5).filter(is_odd)
    after = opened.followed_by(warm, opened_warm, within="10m")
    return after.enrich(TYPES, "truck", kind_of).forward()


def is_odd(scored: Scored[Reading]) -> bool:
    return scored.score > 3


def opened_warm(door: Door, scored: Scored[Reading]) -> Reading:
    return scored.value


def kind_of(reading: Reading, kind: str | None) -> Warmed:
    return Warmed(kind or "unknown")
