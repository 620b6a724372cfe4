"""Streams behind streams: minutes, from them hours of a region, and what came too late for a minute."""

from datetime import datetime

from msgspec import Struct

from rimward import App, Stream, late, mqtt

app = App("fleet", compat="2026-11-01")


class Reading(Struct):
    region: str
    celsius: float
    at: datetime


class Door(Struct):
    at: datetime


@app.fact
class Minute(Struct):
    truck: str
    region: str
    mean: float


@app.fact
class Hour(Struct):
    region: str
    highest: float
    minutes: int


@app.fact
class Missed(Struct):
    truck: str
    readings: int


@app.fact
class Opened(Struct):
    mean: float | None
    truck: str = ""


@app.fact
class Warm(Struct):
    mean: float
    truck: str = ""


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def minutes(readings: Stream[Reading]) -> Stream[Minute]:
    windows = readings.key_by("truck").tumbling("1m")
    return windows.agg(Minute, region=("region", "last"), mean=("celsius", "mean")).forward()


@app.stream(minutes)
def hours(minutes: Stream[Minute]) -> Stream[Hour]:
    windows = minutes.key_by("region").tumbling("1h")
    return windows.agg(Hour, highest=("mean", "max"), minutes=("mean", "count")).forward()


@app.stream(late(minutes))
def missed(readings: Stream[Reading]) -> Stream[Missed]:
    return readings.key_by("truck").session("5m").agg(Missed, readings=("celsius", "count")).forward()


@app.stream(mqtt("trucks/{truck}/door", time="at"), minutes)
def opened(doors: Stream[Door], minutes: Stream[Minute]) -> Stream[Opened]:
    return doors.key_by("truck").asof(minutes.key_by("truck"), mean_before).forward()


def mean_before(door: Door, minute: Minute | None) -> Opened:
    return Opened(None if minute is None else minute.mean)


@app.stream(minutes)
def warm(minutes: Stream[Minute]) -> Stream[Warm]:
    return minutes.filter(lambda minute: minute.mean > 8).key_by("region").map(warm_of).forward()


def warm_of(minute: Minute) -> Warm:
    return Warm(minute.mean, minute.truck)
