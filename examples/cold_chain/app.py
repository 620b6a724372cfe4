"""Cold chain: a warm truck is chilled at once, reported once, and its minutes are kept."""

from datetime import datetime

from msgspec import Struct

from rimward import App, Lake, Reject, State, Stream, http, mqtt

app = App("cold-chain", compat="2026-11-01")  # behaviour changes only when this date is moved


class Reading(Struct):  # what a device sends; decoded and checked before any function runs
    celsius: float
    at: datetime


@app.fact(priority="critical", locality="eu")  # only facts cross to the cloud; each is a table in the lake
class TooWarm(Struct):
    truck: str
    celsius: float


@app.fact
class Minute(Struct):
    truck: str
    mean: float
    highest: float


@app.state(key="truck", durable=True)  # one cell a truck, shared by every function that asks for it
class Truck(Struct):
    celsius: float | None = None


@app.edge(mqtt("trucks/{truck}/temperature", time="at"), budget="5ms")
def guard(truck: str, reading: Reading, state: State[Truck]) -> None:
    was_warm = (state.value.celsius or 0.0) > 8.0
    state.value.celsius = reading.celsius
    if reading.celsius <= 8.0:
        return
    app.publish(f"trucks/{truck}/chiller", {"mode": "max"})  # action: no disk, no cloud
    if not was_warm:
        app.forward(TooWarm(truck, reading.celsius))  # fact: to the cloud


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def per_minute(readings: Stream[Reading]) -> Stream[Minute]:
    minutes = readings.key_by("truck").tumbling("1m")
    return minutes.agg(Minute, mean=("celsius", "mean"), highest=("celsius", "max")).forward()


@app.edge(per_minute)  # a stream is a trigger too
def service(minute: Minute) -> None:
    if minute.mean > 7.0:
        app.publish(f"trucks/{minute.truck}/service", {"mean": minute.mean})


@app.edge(http.get("/trucks/{truck}"))
def latest(state: State[Truck]) -> Truck:  # returned = the reply, in the caller's protocol
    if state.value.celsius is None:
        raise Reject("not-found", "no reading from this truck yet")
    return state.value


@app.cloud(TooWarm)  # at least once; Event.id is the idempotency key
def page(alarm: TooWarm) -> None: ...


@app.cloud(Minute)
def report(rows: list[Minute], lake: Lake) -> None:
    for truck in {row.truck for row in rows}:
        warmest = lake.sql("select max(highest) as celsius from minute where truck = $truck", truck=truck)
        print(f"truck {truck}: {warmest.to_pylist()[0]['celsius']} °C at most")
