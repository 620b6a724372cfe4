"""What the manifest says of a function's messages and facts, found without running it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from msgspec import Struct

from rimward import App, Stream, every, http, mqtt
from rimward.app.describing import schema_of
from rimward.app.manifest import Capture, FunctionSpec

app = App("x", compat="2026-11-01")


class Reading(Struct):
    at: datetime
    before: list[datetime]
    last: "Reading | datetime | None" = None


@app.fact
class Warm(Struct):
    truck: str


@app.fact
class Cold(Struct):
    truck: str


class Ordinary(Struct):
    truck: str


@app.edge(mqtt("trucks/{truck}/{number}", time="at"), budget="5ms", priority="critical")
def guard(truck: str, number: int, reading: Reading) -> None:
    def warm() -> list[Warm]:
        return [Warm(name) for name in (truck,)]

    for fact in warm():
        app.forward(fact)


@app.edge(http.post("/doors/{rest...}"))
def door(rest: str, word: bytes) -> dict[str, int]:
    return {"warm": len([Ordinary(rest)]), "taken": len(word)}


@app.edge(every("1s"))
def beat() -> None:
    app.forward(Cold("7"))


@app.stream(mqtt("trucks/{truck}/{number}"))
def windows(readings: Stream[Reading]) -> Stream[Cold]:
    return readings.key_by("truck").tumbling("90s").apply(lambda _: Cold("")).forward()


def spec(function: Callable[..., Any]) -> FunctionSpec:
    return {one.name: one for one in app.manifest().functions}[function.__name__]


def test_captures_are_told_with_the_types_that_the_function_gives_them() -> None:
    assert spec(guard).captures == (
        Capture("truck", {"type": "string"}),
        Capture("number", {"type": "integer"}),
    )
    assert [capture.name for capture in spec(door).captures] == ["rest"]
    assert [capture.schema for capture in spec(windows).captures] == [{"type": "string"}] * 2


def test_protocol_path_payload_reply_and_window_are_told() -> None:
    one = spec(guard)
    assert (one.protocol, one.method, one.path) == ("mqtt", None, "trucks/{truck}/{number}")
    assert (one.priority, one.reply, one.window) == ("critical", None, None)
    two = spec(door)
    assert (two.protocol, two.method, two.path) == ("http", "POST", "/doors/{rest...}")
    assert two.reply is not None
    assert (spec(beat).protocol, spec(beat).path, spec(beat).payload) == (None, None, None)
    assert spec(windows).window == 90.0


def test_the_facts_that_code_names_are_told_inner_functions_included() -> None:
    forwards = {function.name: function.forwards for function in app.manifest().functions}
    assert forwards == {"guard": ("warm",), "door": (), "beat": ("cold",), "windows": ("cold",)}


def test_a_datetime_is_told_wherever_it_stands() -> None:
    schema = schema_of(Reading)
    assert schema is not None
    fields = schema["$defs"]["Reading"]["properties"]
    time = {"type": "string", "format": "date-time"}
    assert fields["at"] == time
    assert fields["before"]["items"] == time
    assert time in fields["last"]["anyOf"]
    assert schema_of(datetime) == time


@pytest.mark.parametrize("type_", [complex, set[object], type("Odd", (), {})])
def test_what_has_no_schema_is_none(type_: Any) -> None:
    assert schema_of(type_) is None or isinstance(schema_of(type_), dict)
