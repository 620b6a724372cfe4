"""The HTTP function that is measured beside workerd and uvicorn, and an MQTT one that nothing calls."""

from msgspec import Struct

from rimward import App, http

app = App("bench-devices", compat="2026-11-01")


class Reading(Struct):
    celsius: float
    place: str


class Command(Struct):
    mode: str


@app.edge(http.post("/limit"))
def limit(reading: Reading) -> Command:
    return Command("max" if reading.celsius > 30.0 else "low")
