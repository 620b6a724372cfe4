"""The files of a new project: small enough to read, complete enough to run, test and deploy."""

APP = '''\
"""What runs beside the devices, what runs in the cloud, and what crosses between them."""

from msgspec import Struct
from rimward import App, Reject, State, Stream, http, mqtt

app = App("{name}", compat="2026-11-01")  # behaviour changes only when this date is moved

LIMIT = 8.0  # °C


class Reading(Struct):  # what a device sends; decoded and checked before any function runs
    celsius: float


@app.fact(priority="critical")  # only facts cross to the cloud; each is a table in the lake
class TooWarm(Struct):
    truck: str
    celsius: float


@app.fact
class Minute(Struct):
    mean: float
    highest: float
    truck: str = ""  # the stream's key fills it in


@app.state(key="truck", durable=True)  # one cell a truck
class Truck(Struct):
    celsius: float | None = None


@app.edge(mqtt("trucks/{{truck}}/temperature"), budget="5ms")
def guard(truck: str, reading: Reading, state: State[Truck]) -> None:
    state.value.celsius = reading.celsius
    if reading.celsius > LIMIT:
        app.publish(f"trucks/{{truck}}/chiller", {{"mode": "max"}})  # action: to the device, at once
        app.forward(TooWarm(truck, reading.celsius))  # fact: to the cloud, when it can be reached


@app.stream(mqtt("trucks/{{truck}}/temperature"))
def per_minute(readings: Stream[Reading]) -> Stream[Minute]:
    minutes = readings.key_by("truck").tumbling("1m")
    return minutes.agg(Minute, mean=("celsius", "mean"), highest=("celsius", "max")).forward()


@app.edge(http.get("/trucks/{{truck}}"))
def latest(state: State[Truck]) -> Truck:  # returned = the reply
    if state.value.celsius is None:
        raise Reject("not-found", "no reading from this truck yet")
    return state.value


@app.cloud(TooWarm)  # runs when the row is in the table, at least once
def page(alarm: TooWarm) -> None:
    print(f"truck {{alarm.truck}} has {{alarm.celsius}} °C")
'''

TEST = """\
from rimward.testing import Site, effects, state

from app import Reading, TooWarm, Truck, app, guard


def test_a_warm_truck_is_chilled_and_reported() -> None:
    with effects(app) as fx:
        guard("7", Reading(celsius=9.5), state(Truck))  # a decorated function stays a plain one
    assert fx.published[0].topic == "trucks/7/chiller"
    assert fx.forwarded == [TooWarm("7", 9.5)]


async def test_a_reading_goes_from_its_packet_to_its_row() -> None:
    async with Site(app) as site:  # node, hub and the link between them, in memory
        chiller, truck = site.inbox("trucks/7/chiller"), site.device("7")
        ack = await truck.publish("trucks/7/temperature", {"celsius": 9.5}, qos=1)
        assert ack.ok
        assert chiller.all == [{"mode": "max"}]
        await site.settle()
        assert site.rows(TooWarm) == [TooWarm("7", 9.5)]
        assert site.ledger.balanced()
"""

PROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["rimward"]

[dependency-groups]
edge = [] # beside rimward, what a node needs
cloud = ["rimward[cloud]"] # what only the cloud functions import, inside them
dev = ["rimward[test]", {{ include-group = "edge" }}, {{ include-group = "cloud" }}]

[tool.ruff]
line-length = 110
"""

README = """\
# {name}

An app for [Rimward](https://pypi.org/project/rimward/): `app.py` says what runs at the edge and in the cloud.

```sh
rimward check app.py             # tells what is wrong, without starting anything
rimward dev app.py --simulate 3  # all four layers on this machine, and three devices
rimward boundary app.py          # what runs where, and what crosses
rimward test                     # pytest
```
"""

IGNORE = """\
.rimward/
.venv/
__pycache__/
.pytest_cache/
"""


def files(name: str) -> dict[str, str]:
    """Return a new project's files by their names."""
    return {
        "app.py": APP.format(name=name),
        "test_app.py": TEST,
        "pyproject.toml": PROJECT.format(name=name),
        "README.md": README.format(name=name),
        ".gitignore": IGNORE,
    }
