"""What the fuzzed node runs: a function for each protocol, so that what is well-formed gets somewhere."""

from msgspec import Struct

from rimward import App, Reject, coap, http, mqtt, ws

app: App = App("fuzz", compat="2026-11-01")


class Reading(Struct):
    celsius: float


@app.edge(mqtt("picky/{what}"))
def refuse(what: str, payload: bytes) -> None:
    raise Reject("invalid", f"no {what} of {len(payload)} bytes")


@app.edge(mqtt("ask/{what}"))
def answer(what: str, payload: bytes) -> bytes:
    return what.encode() + payload


@app.edge(mqtt("{who}/reading"))
def act(who: str, reading: Reading) -> None:
    app.publish(f"{who}/command", reading)


@app.edge(ws("/live/{who}"))
def live(who: str, reading: Reading) -> dict[str, float]:
    return {who: reading.celsius}


@app.edge(http.post("/readings/{who}"))
def post(who: str, reading: Reading) -> dict[str, float]:
    return {who: reading.celsius}


@app.edge(http.get("/readings"))
def readings() -> list[int]:
    return list(range(100))


@app.edge(coap.post("meters/{who}"))
def meter(who: str, reading: Reading) -> dict[str, float]:
    return {who: reading.celsius}
