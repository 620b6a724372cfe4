"""What the node of the benchmark runs."""

from msgspec import Struct

from rimward import App, State, coap

app = App("meters", compat="2026-11-01")


class Reading(Struct):
    value: float


class Total(Struct):
    total: float


@app.state(key="meter")
class Meter(Struct):
    total: float = 0.0


@app.edge(coap.post("meters/{meter}"))
def count(reading: Reading, state: State[Meter]) -> Total:
    state.value.total += reading.value
    return Total(state.value.total)
