"""An app of schedules: at the edge and in the cloud, with what each run saw."""

from datetime import datetime

from msgspec import Struct

from rimward import App, Event, States, cron, every
from rimward.events import from_ns

app = App("nightly", compat="2026-11-01")
broken: list[str] = []  # names of functions that are to raise


class Trouble(Exception):
    """What a function raises that is to."""


@app.fact
class Night(Struct):
    where: str
    due: datetime
    at: datetime
    event: str


@app.state(key="name")
class Cell(Struct):
    n: int = 0


def note(where: str, event: Event) -> None:
    if where in broken:
        raise Trouble
    app.forward(Night(where, from_ns(event.time), app.now(), event.id))


@app.edge(cron("0 3 * * *", tz="Europe/Berlin"))
def edge(event: Event, cells: States[Cell]) -> None:
    assert list(cells.items()) == []
    note("edge", event)


@app.cloud(cron("0 3 * * *", tz="Europe/Berlin"), retries=1)
def cloud(event: Event) -> None:
    note("cloud", event)


@app.cloud(every("8h"))
def shift(event: Event) -> None:
    note("shift", event)
