"""Simulated devices: what they say fits the app's types, looks as the names suggest, and repeats by seed."""

import enum
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice, pairwise
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta, Struct

from rimward.app.describing import schema_of
from rimward.app.manifest import Capture, FunctionSpec, Manifest
from rimward.devices.replay.scripts import Step
from rimward.devices.simulate import example, simulated
from rimward.events import to_ns

START = to_ns(datetime.fromisoformat("2026-11-25T12:00:00+00:00"))


class Mode(enum.Enum):
    AUTO = "auto"
    OFF = "off"


class Fix(Struct, rename="camel"):
    lat: float
    lon: float
    taken_at: Annotated[datetime, Meta(tz=True)]


class Reading(Struct):
    celsius: float
    humidity: int
    battery: float
    at: datetime
    mode: Mode
    fix: Fix
    truck: str
    door: Literal["open", "closed"]
    last: "Reading | None" = None


class Bounded(Struct):
    celsius: Annotated[float, Meta(ge=20, lt=21)]
    level: Annotated[int, Meta(gt=-5, le=5, multiple_of=2)]
    above: Annotated[int, Meta(ge=1_000_000)]
    below: Annotated[float, Meta(le=-3)]
    code: Annotated[str, Meta(min_length=6, max_length=8)]
    three: Annotated[list[int], Meta(min_length=3, max_length=3)]
    many: Annotated[list[bool], Meta(min_length=5)]


class Start(Struct, tag=True):
    by: str


class Stop(Struct, tag=True):
    after: timedelta


TYPES: dict[str, Any] = {
    "struct": Reading,
    "bounds": Bounded,
    "union": Start | Stop,
    "list": list[Fix],
    "scalar": float,
    "dict": dict[str, int],
    "any": Any,
    "tuple": tuple[int, str, float],
    "rest": tuple[UUID, Decimal, date, bytes, set[int]],
    "maybe": int | None,
}


def function(path: str, type_: Any, **captures: Any) -> FunctionSpec:
    """Return a function that listens there."""
    return FunctionSpec(
        "f", "edge", f'mqtt("{path}")', None, (), batch=False, file="", line=0, protocol="mqtt", path=path,
        captures=tuple(Capture(name, schema_of(kind) or {}) for name, kind in captures.items()),
        payload=schema_of(type_),
    )  # fmt: skip


def app(*functions: FunctionSpec) -> Manifest:
    return Manifest("x", "2026-11-01", "app.py", "", (), functions)


def steps(manifest: Manifest, n: int, *, device: int = 1, seed: int = 1) -> Iterator[Step]:
    """Return the first messages of one device."""
    return islice(simulated(manifest, device, seed=seed)[device - 1].steps(START), n)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("seed", range(5))
def test_every_payload_is_one_that_its_type_takes(kind: str, seed: int) -> None:
    manifest = app(function("a/{b}", TYPES[kind], b=str))
    decoder = msgspec.json.Decoder(TYPES[kind])
    payloads = [step.payload for step in steps(manifest, 100, seed=seed)]
    assert [decoder.decode(payload) for payload in payloads]


def test_every_kind_of_a_union_is_said() -> None:
    said = [msgspec.json.decode(step.payload)["type"] for step in steps(app(function("a", Start | Stop)), 50)]
    assert set(said) == {"Start", "Stop"}


def test_text_and_bytes_are_sent_as_they_are() -> None:
    assert [step.payload for step in steps(app(function("a", str)), 1)] == [b"hello"]
    assert [step.payload for step in steps(app(function("a", bytes)), 1)] == [b"hello"]


def test_the_same_seed_says_the_same_and_another_does_not() -> None:
    manifest = app(function("trucks/{truck}", Reading, truck=str))
    assert list(steps(manifest, 50)) == list(steps(manifest, 50))
    assert list(steps(manifest, 50)) != list(steps(manifest, 50, seed=2))
    assert list(steps(manifest, 50)) != list(steps(manifest, 50, device=2))


def test_a_device_says_one_thing_a_second_on_each_topic_in_turn() -> None:
    manifest = app(
        function("trucks/{truck}/air", Reading, truck=str),
        function("trucks/{truck}/door", bool, truck=int),
        function("trucks/{truck}/air", Reading, truck=str),
    )
    told = list(steps(manifest, 4, device=3))
    assert [step.topic for step in told] == ["trucks/3/air", "trucks/3/door"] * 2
    assert [round(step.at - told[0].at, 6) for step in told] == [0, 1, 2, 3]
    assert 0 <= told[0].at < 1
    devices = simulated(manifest, 20, seed=1)
    assert [script.device for script in devices] == [str(n) for n in range(1, 21)]
    assert len({next(script.steps(START)).at for script in devices}) == 20


def test_captures_are_filled_by_their_types() -> None:
    path = "a/{number}/{mode}/{id}/{rest...}"
    manifest = app(function(path, bytes, number=int, mode=Mode, id=UUID, rest=str))
    for device in (1, 2):
        (step,) = steps(manifest, 1, device=device)
        _, number, mode, identity, rest = step.topic.split("/")
        assert (int(number), Mode(mode), str(UUID(identity)), rest) == (device, Mode.AUTO, identity, "1")


def test_a_field_named_as_a_capture_says_the_same() -> None:
    (step,) = steps(app(function("trucks/{truck}", Reading, truck=str)), 1, device=7)
    assert msgspec.json.decode(step.payload, type=Reading).truck == "7"


def test_numbers_move_as_their_names_suggest_and_leave_the_calm_range_now_and_then() -> None:
    manifest = app(function("trucks/{truck}", Reading, truck=str))
    told = [msgspec.json.decode(step.payload, type=Reading) for step in steps(manifest, 200)]
    celsius = [reading.celsius for reading in told]
    calm = [value for value in celsius if 2 <= value <= 7]
    assert len(calm) >= 100
    assert max(celsius) > 8
    assert min(celsius) < 2
    assert max(abs(b - a) for a, b in pairwise(celsius)) < 5
    battery = [reading.battery for reading in told]
    assert battery == sorted(battery, reverse=True)
    assert battery[0] > battery[-1] > 0
    assert all(52 < reading.fix.lat < 53 and 13 < reading.fix.lon < 14 for reading in told)


def test_times_are_those_of_the_message() -> None:
    first, second = steps(app(function("a", Reading)), 2)
    one, two = (msgspec.json.decode(step.payload, type=Reading) for step in (first, second))
    assert to_ns(one.at) == pytest.approx(START + first.at * 1e9, abs=1e6)
    assert (two.at - one.at) == timedelta(seconds=1)


def test_an_app_without_mqtt_has_nothing_to_simulate() -> None:
    assert simulated(app(), 3, seed=1) == []
    assert example(app(), START) is None


def test_a_payload_that_has_no_schema_is_an_empty_object() -> None:
    manifest = app(msgspec.structs.replace(function("a", str), payload=None))
    sent = example(manifest, START)
    assert sent is not None
    assert sent.payload == "{}"


def test_an_example_is_one_readable_message_for_the_first_function() -> None:
    manifest = app(function("trucks/{truck}", Fix, truck=str), function("b", str))
    sent = example(manifest, START)
    assert sent is not None
    assert (sent.protocol, sent.method, sent.path) == ("mqtt", None, "trucks/1")
    assert sent.payload is not None
    assert sent.payload.startswith('{"lat": 52.')
    assert msgspec.json.decode(sent.payload, type=Fix)
