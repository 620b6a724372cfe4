"""API.md's trucks: a timer of a durable state, and what else a test asks of timers."""

import asyncio
from datetime import datetime

from msgspec import Struct

from rimward import App, Event, Reject, State, mqtt, timer
from rimward.events import from_ns

app = App("cooling", compat="2026-11-01")
gate = asyncio.Event()  # what the slow function waits for


class Reading(Struct):
    celsius: float
    at: datetime | None = None


@app.fact(priority="critical", locality="eu")
class TooWarm(Struct):
    truck: str
    celsius: float


@app.fact
class Fired(Struct):
    what: str
    id: str
    due: datetime
    at: datetime


@app.state(key="truck", durable=True)
class Truck(Struct):
    celsius: float | None = None


@app.state(key="truck")
class Lamp(Struct):
    blinks: int = 0


@app.edge(mqtt("trucks/{truck}/temperature"), budget="5ms")
def guard(truck: str, reading: Reading, state: State[Truck]) -> None:
    state.value.celsius = reading.celsius
    if reading.celsius <= 8.0:
        state.cancel(still_warm)
        return
    app.publish(f"trucks/{truck}/chiller", {"mode": "max"})
    state.after("2m", still_warm)
    if reading.celsius > 1000:
        raise Reject("invalid", "no truck is as hot as that")


@app.edge(mqtt("trucks/{truck}/slow"))
async def slowly(payload: bytes, state: State[Truck]) -> None:
    await gate.wait()
    state.cancel(still_warm)


@app.edge(timer(Truck))
def still_warm(truck: str, state: State[Truck]) -> None:
    app.forward(TooWarm(truck, state.value.celsius or 0.0))


@app.edge(mqtt("trucks/{truck}/lamp"))
def lamp(payload: bytes, state: State[Lamp]) -> None:
    if payload == b"off":
        state.cancel(blink)
    else:
        state.after("10s", blink, restart=payload == b"again")


@app.edge(timer(Lamp))
def blink(truck: str, state: State[Lamp], event: Event) -> None:
    state.value.blinks += 1
    app.publish(f"trucks/{truck}/blinks", state.value.blinks)
    app.forward(Fired("blink", event.id, from_ns(event.time), from_ns(event.received_at)))
    if state.value.blinks < 3:
        state.after("1s", blink)


@app.edge(mqtt("trucks/{truck}/bomb"))
def light(payload: bytes, state: State[Truck]) -> None:
    state.after("1s", explode)


@app.edge(mqtt("trucks/{truck}/fuse"))
def light_fuse(payload: bytes, state: State[Truck]) -> None:
    state.after("1s", explode)


@app.edge(mqtt("trucks/{truck}/fuse"))
def report(truck: str, payload: bytes) -> None:
    app.forward(TooWarm(truck, 0.0))


@app.edge(timer(Truck))
def explode(truck: str, state: State[Truck], event: Event) -> None:
    state.value.celsius = 1e6
    app.forward(Fired("explode", event.id, from_ns(event.time), from_ns(event.received_at)))
    if truck == "dud":
        raise ValueError(truck)
