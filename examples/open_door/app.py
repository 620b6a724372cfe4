"""Open door: a door that stays open is complained about until it is shut; then the cloud learns how long."""

from datetime import datetime, timedelta

from msgspec import Struct

from rimward import App, State, States, every, http, mqtt

app = App("open-door", compat="2026-11-01")

ALLOWED = timedelta(minutes=2)


class Opened(Struct, tag="opened"):  # {"type": "opened"}
    pass


class Closed(Struct, tag="closed"):
    pass


@app.fact
class OpenTooLong(Struct):
    door: str
    opened: datetime
    seconds: float


@app.state(key="door", durable=True)  # a door that was open when the node died is still open
class Door(Struct):
    opened: datetime | None = None


@app.edge(mqtt("doors/{door}"))
def changed(door: str, change: Opened | Closed, state: State[Door]) -> None:
    opened = state.value.opened
    if isinstance(change, Opened):
        state.value.opened = opened or app.now()  # a sensor may say it twice
        return
    state.value.opened = None
    if opened and app.now() - opened > ALLOWED:
        app.forward(OpenTooLong(door, opened, (app.now() - opened).total_seconds()))


@app.edge(every("10s"))
def complain(doors: States[Door]) -> None:
    for door, state in doors.items():
        if state.opened and app.now() - state.opened > ALLOWED:
            app.publish(f"doors/{door}/buzzer", {"since": state.opened})


@app.edge(http.get("/doors"))
def standing_open(doors: States[Door]) -> list[str]:
    return sorted(door for door, state in doors.items() if state.opened)
