"""Two states of one key, and a function that leaves in them whatever a test asks for."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from rimward import App, State, http, mqtt

app = App("boilers", compat="2026-11-01")
LOOP: list[Any] = []
LOOP.append(LOOP)
VALUES: dict[str, Any] = {
    "huge": 1 << 64,
    "text": "much",
    "negative": -1,
    "surrogate": "\ud800",
    "object": object(),
    "loop": LOOP,
    "right": 7,
}


class Valve(Struct):
    turns: int = 0
    label: str = ""


@app.state(key="boiler", durable=True)
class Boiler(Struct):
    fired: int = 0
    bar: Annotated[float, Meta(ge=0)] = 0.0
    valves: dict[str, list[Valve]] = field(default_factory=dict[str, list[Valve]])
    notes: list[Any] = field(default_factory=list[Any])


@app.state(key="boiler")
class Lamp(Struct):
    blinks: int = 0


@app.fact
class Fired(Struct):
    boiler: str


class Wanted(Struct):
    field: str
    value: str


@app.edge(mqtt("boilers/{boiler}/set"))
def leave(boiler: str, wanted: Wanted, state: State[Boiler], lamp: State[Lamp]) -> None:
    value = VALUES[wanted.value]
    state.value.fired += 1
    app.publish(f"boilers/{boiler}/left", wanted)
    app.forward(Fired(boiler))
    if wanted.field == "valve":
        state.value.valves["main"] = [Valve(), Valve(label=value), Valve(turns=value)]
    elif wanted.field == "notes":
        state.value.notes = [value]
    elif wanted.field == "blinks":
        lamp.value.blinks = value
    else:
        setattr(state.value, wanted.field, value)


kept: list[Valve] = []  # what a function holds on to, and should not


@app.edge(mqtt("boilers/{boiler}/turn"))
def turn(payload: bytes, state: State[Boiler]) -> None:
    if payload == b"again":
        kept[0].turns += 1
        return
    kept[:] = [Valve(turns=1)]
    state.value.valves = {"main": [*kept]}


@app.edge(http.get("/boilers/{boiler}"))
def look(boiler: str, state: State[Boiler], lamp: State[Lamp]) -> dict[str, Any]:
    valves = {name: [valve.turns for valve in found] for name, found in state.value.valves.items()}
    return {"fired": state.value.fired, "bar": state.value.bar, "blinks": lamp.value.blinks, "valves": valves}
