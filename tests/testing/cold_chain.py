"""The app of API.md, as far as it goes without timers and models."""

from datetime import datetime

from msgspec import Struct

from rimward import App, Lake, Reject, State, Stream, http, mqtt

app = App("cold-chain", compat="2026-11-01")


class Reading(Struct):
    celsius: float
    at: datetime


@app.fact(priority="critical", locality="eu")
class TooWarm(Struct):
    truck: str
    celsius: float


@app.fact
class Minute(Struct):
    truck: str
    mean: float
    highest: float


@app.state(key="truck", durable=True)
class Truck(Struct):
    celsius: float | None = None
    warm: int = 0


@app.edge(mqtt("trucks/{truck}/temperature", time="at"), budget="5ms")
def guard(truck: str, reading: Reading, state: State[Truck]) -> None:
    state.value.celsius = reading.celsius
    if reading.celsius <= 8.0:
        return
    state.value.warm += 1
    app.publish(f"trucks/{truck}/chiller", {"mode": "max"})
    app.forward(TooWarm(truck, reading.celsius))


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def per_minute(readings: Stream[Reading]) -> Stream[Minute]:
    minutes = readings.key_by("truck").tumbling("1m")
    return minutes.agg(Minute, mean=("celsius", "mean"), highest=("celsius", "max")).forward()


@app.edge(http.get("/trucks/{truck}"))
def latest(state: State[Truck]) -> Truck:
    if state.value.celsius is None:
        raise Reject("not-found", "no reading from this truck yet")
    return state.value


paged: list[tuple[TooWarm, int]] = []  # what the cloud function was given, and how many rows it saw


@app.cloud(TooWarm)
def page(alarm: TooWarm, lake: Lake) -> None:
    paged.append((alarm, lake.table(TooWarm).num_rows))
