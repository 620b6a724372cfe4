"""One `rimward dev` for all tests of this folder that need one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.running import Dev

APP = """\
from msgspec import Struct
from rimward import App, Reject, http, mqtt, ws

app = App("greenhouse", compat="2026-11-01")


class Reading(Struct):
    celsius: float


@app.fact
class Frost(Struct):
    house: str
    celsius: float


@app.edge(mqtt("houses/{house}/air"), budget="5ms")
def heat(house: str, reading: Reading) -> None:
    if reading.celsius < 2.0:
        app.publish(f"houses/{house}/heater", {"on": True})
        app.forward(Frost(house, reading.celsius))


@app.edge(http.post("/echo"))
def echo(reading: Reading) -> Reading:
    return reading


@app.edge(http.post("/bytes"))
def turned(data: bytes) -> bytes:
    return data[::-1]


@app.edge(http.get("/nothing"))
def nothing() -> None:
    raise Reject("not-found", "there is nothing")


@app.edge(ws("/talk"))
def talk(reading: Reading) -> Reading | None:
    return reading if reading.celsius else None
"""


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A running dev with two simulated devices; its data folder is where commands in its folder look."""
    folder = tmp_path_factory.mktemp("dev")
    app = folder / "app.py"
    app.write_text(APP)
    with Dev(app, folder / ".rimward", "--simulate", "2", "--seed", "4") as running:
        yield running


@pytest.fixture(scope="session")
def beside(dev: Dev) -> Path:
    """The folder in which that dev is found."""
    return dev.data.parent
