"""A rule, a fact and a table."""

from msgspec import Struct

from rimward import App, State, mqtt

app = App("bench-testkit", compat="2026-11-01")


class Reading(Struct):
    celsius: float


@app.fact
class TooWarm(Struct):
    truck: str
    celsius: float


@app.state(key="truck", durable=True)
class Truck(Struct):
    celsius: float | None = None


@app.edge(mqtt("trucks/{truck}/temperature"))
def guard(truck: str, reading: Reading, state: State[Truck]) -> None:
    state.value.celsius = reading.celsius
    if reading.celsius > 8.0:
        app.publish(f"trucks/{truck}/chiller", {"mode": "max"})
        app.forward(TooWarm(truck, reading.celsius))
