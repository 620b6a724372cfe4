"""The contract as a strict user meets it: nothing here is reported by basedpyright or mypy."""

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from typing import Any, assert_type
from uuid import UUID

from msgspec import Struct

from rimward import (
    App,
    CommandTimeout,
    Device,
    Event,
    Lake,
    NotConnected,
    Part,
    Reject,
    Reply,
    State,
    States,
    Stream,
    Table,
    every,
    http,
    mqtt,
)


class Settings(Struct, frozen=True):
    limit: float = 8.0


class Side(Enum):
    LEFT = "left"


class Reading(Struct):
    celsius: float


class Opened(Struct, tag=True):
    door: str


class Closed(Struct, tag=True):
    door: str


app = App("typing", compat="2026-11-01", config=Settings)
part = Part("doors")
app.include(part)


@app.fact
class Plain(Struct):
    truck: str


@app.fact(priority="bulk", locality="eu", name="means", was="averages")
class Mean(Struct):
    truck: str
    mean: float


@part.state(key="door", durable=True, expires="24h", name="doors", was="gates")
class Door(Struct):
    open: bool = False


@part.edge(mqtt("doors/{door}"))
def changed(door: str, change: Opened | Closed, state: State[Door], doors: States[Door]) -> None:
    assert_type(state.value, Door)
    assert_type(doors.get(door), Door | None)
    state.value.open = isinstance(change, Opened)
    for key, other in doors.items():
        assert_type(key, str)
        assert_type(other.open, bool)
    part.publish("doors/all", {"open": state.value.open}, qos=1, retain=True)


@app.edge(
    mqtt("{side}/{rest...}"),
    budget=timedelta(milliseconds=5),
    priority="critical",
    mode="parallel",
    run="auto",
    durable=False,
    timeout="2s",
    on_overrun="finish",
    was="asked",
)
async def ask(side: Side, rest: str, device: Device, event: Event, settings: Settings, raw: bytes) -> float:
    assert_type(event.id, str)
    try:
        answer = await device.command("read", {"rest": rest}, timeout="1s", reply=Reading)
        assert_type(answer, Reading)
        await device.command("blink", timeout=timedelta(seconds=1))
    except (CommandTimeout, NotConnected) as error:
        raise Reject("busy", str(error)) from error
    return min(answer.celsius, settings.limit)


@app.edge(http.post("/trucks/{truck}/{trip}"))
def post(truck: int, trip: UUID, readings: list[Reading], unit: str = "C") -> Reply[dict[str, int]]:
    return Reply({"taken": len(readings)}, status=202, headers={"location": f"/trucks/{truck}"})


@app.edge(every("10s", once="site"))
def tick() -> None:
    app.forward(Plain(app.now().isoformat()))


def summed(readings: Sequence[Reading]) -> Mean:
    return Mean("", sum(reading.celsius for reading in readings))


@app.stream(mqtt("trucks/{truck}/temperature"), was="sums")
def sums(readings: Stream[Reading]) -> Stream[Mean]:
    warm = readings.filter(lambda reading: reading.celsius > 8.0)
    return warm.key_by("truck").tumbling("1m", lateness="2s").apply(summed).forward()


@app.edge(sums)
def follow(mean: Mean) -> None:
    assert_type(mean.mean, float)


@app.cloud(Mean, was="counts")
async def count(rows: list[Mean], lake: Lake, settings: Settings) -> None:
    table = lake.table(Mean, since="90d", version=None)
    assert_type(table, Table)
    found: list[dict[str, Any]] = lake.sql("select 1 as n where $x", x=True).to_pylist()
    assert len(found) <= table.num_rows <= len(rows)


assert_type(changed.__name__, str)
assert_type(summed([Reading(1.0)]), Mean)
follow(Mean("7", 1.0))  # decorated functions stay the plain functions
