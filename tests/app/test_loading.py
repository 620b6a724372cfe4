"""Each rule that an app file can break: the exact message, line and cure, and never a traceback."""

from pathlib import Path
from textwrap import dedent

import pytest

from rimward.app.loading import load
from rimward.events import LoadError

HEAD = """\
from datetime import datetime
from msgspec import Struct
from rimward import App, Lake, State, Stream, every, http, mqtt
app = App("test", compat="2026-11-01")
class Reading(Struct):
    celsius: float
    at: datetime
@app.fact
class Minute(Struct):
    truck: str
    mean: float
@app.state(key="truck")
class Truck(Struct):
    celsius: float = 0.0
"""
AFTER_HEAD = HEAD.count("\n") + 1

# the rest of the file; a part of the message; the line after HEAD (0: none is checked); a part of the cure
REFUSALS = {
    "a capture that nothing uses": (
        """
        @app.edge(mqtt("t/{truck}/x"))
        def f(reading: Reading) -> None: ...
        """,
        "f captures 'truck' and does not use it",
        2,
        "add the parameter 'truck: str'",
    ),
    "two payloads": (
        """
        @app.edge(mqtt("t/x"))
        def f(a: Reading, b: Minute) -> None: ...
        """,
        "'a' and 'b' could each be the payload",
        2,
        "name the others as captures",
    ),
    "a parameter without a type": (
        """
        @app.edge(mqtt("t/x"))
        def f(a) -> None: ...
        """,
        "f: 'a' has no type",
        2,
        "write 'a: str'",
    ),
    "a name that is there only for type checkers": (
        """
        @app.edge(mqtt("t/x"))
        def f(a: "Nowhere") -> None: ...
        """,
        "names 'Nowhere', which is not there at run time",
        2,
        "import it outside 'if TYPE_CHECKING:'",
    ),
    "a fact returned to a device": (
        """
        @app.edge(mqtt("t/x"))
        def f(a: Reading) -> Minute: ...
        """,
        "f returns the fact Minute",
        2,
        "use app.forward",
    ),
    "a state whose key is not captured": (
        """
        @app.edge(mqtt("t/x"))
        def f(a: Reading, state: State[Truck]) -> None: ...
        """,
        "Truck is keyed by 'truck', which the trigger does not capture",
        2,
        "write {truck} in the trigger",
    ),
    "a state without a default": (
        """
        @app.state(key="truck")
        class Other(Struct):
            celsius: float
        """,
        "the field 'celsius' without a default",
        2,
        "write 'celsius: … = …'",
    ),
    "a fact with a reserved name": (
        """
        @app.fact
        class Other(Struct):
            _node: str
        """,
        "the field '_node'",
        2,
        "take the underscore away",
    ),
    "a wildcard in a topic": (
        """
        @app.edge(mqtt("t/+"))
        def f(a: Reading) -> None: ...
        """,
        "with one of + # NUL",
        2,
        "write '{name}' for one segment",
    ),
    "a budget without a unit": (
        """
        @app.edge(mqtt("t/x"), budget="5")
        def f(a: Reading) -> None: ...
        """,
        "'5' is not a duration",
        2,
        'write budget="5ms"',
    ),
    "two functions on one route": (
        """
        @app.edge(http.get("/a/{truck}"))
        def f(truck: str) -> str: ...
        @app.edge(http.get("/a/{other}"))
        def g(other: str) -> str: ...
        """,
        "g and f (line 15) both serve",
        4,
        "change one path",
    ),
    "one name twice": (
        """
        @app.edge(mqtt("t/x"))
        def f(a: Reading) -> None: ...
        @app.edge(mqtt("t/y"))
        def f(a: Reading) -> None: ...
        """,
        "f is declared twice, before in line 15",
        4,
        "rename one",
    ),
    "a stream that leads nowhere": (
        """
        @app.stream(mqtt("t/{truck}"))
        def s(readings: Stream[Reading]) -> Stream[Minute]:
            return readings.key_by("truck").tumbling("1m").agg(Minute, mean=("celsius", "mean"))
        """,
        "the stream s leads nowhere",
        2,
        "end it in .forward()",
    ),
    "a stream that forwards what is no fact": (
        """
        @app.stream(mqtt("t/{truck}"))
        def s(readings: Stream[Reading]) -> Stream[Reading]:
            return readings.key_by("truck").forward()
        """,
        "s forwards Reading, which is not a fact",
        2,
        "declare it with @app.fact",
    ),
    "an aggregate of a field that is not there": (
        """
        @app.stream(mqtt("t/{truck}"))
        def s(readings: Stream[Reading]) -> Stream[Minute]:
            return readings.key_by("truck").tumbling("1m").agg(Minute, mean=("kelvin", "mean")).forward()
        """,
        "aggregates 'kelvin', which Reading does not have",
        2,
        "its fields are celsius, at",
    ),
    "a cloud function on what is no fact": (
        """
        @app.cloud(Reading)
        def f(reading: Reading) -> None: ...
        """,
        "is not a fact of this app",
        2,
        "declare it with @app.fact",
    ),
    "the lake at the edge": (
        """
        @app.edge(mqtt("t/x"))
        def f(reading: Reading, lake: Lake) -> None: ...
        """,
        "is a Lake, which is in the cloud",
        2,
        "use @app.cloud",
    ),
    "a trigger that is none": (
        """
        @app.edge("t/x")
        def f(reading: Reading) -> None: ...
        """,
        "'t/x' is not a trigger",
        2,
        "the first argument is mqtt",
    ),
    "a syntax error": ("def f(:", "syntax error", 1, ""),
    "a module that is not installed": (
        "import nowhere_at_all",
        "it imports 'nowhere_at_all'",
        1,
        "install it",
    ),
    "an exception": ("1 / 0", "it raises ZeroDivisionError", 1, ""),
    "a second app": ('other = App("b", compat="2026-11-01")', "it has 2 apps: app, other", 0, "say which"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_broken_rule_is_told_with_its_line_and_its_cure(case: str, tmp_path: Path) -> None:
    text, message, line, cure = REFUSALS[case]
    file = tmp_path / f"app_{abs(hash(case))}.py"
    file.write_text(HEAD + dedent(text).lstrip("\n"))
    with pytest.raises(LoadError) as caught:
        load(str(file))
    assert message in caught.value.message
    assert cure in caught.value.cure
    assert caught.value.file == str(file)
    if line:
        assert caught.value.line in {AFTER_HEAD + line - 2, AFTER_HEAD + line - 1}


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="there is no file"):
        load(str(tmp_path / "app.py"))


def test_a_file_without_an_app_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(LoadError, match="it has no App"):
        load(str(tmp_path / "empty.py"))


def test_the_manifest_names_facts_columns_functions_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "whole.py"
    file.write_text(
        HEAD
        + dedent("""\
        @app.edge(mqtt("t/{truck}", time="at"), budget="5ms")
        def guard(truck: str, reading: Reading, state: State[Truck]) -> None: ...
        @app.stream(mqtt("t/{truck}", time="at"))
        def per_minute(readings: Stream[Reading]) -> Stream[Minute]:
            return readings.key_by("truck").tumbling("1m").agg(Minute, mean=("celsius", "mean")).forward()
        @app.edge(per_minute)
        def predict(minute: Minute) -> None: ...
        @app.edge(every("10s"))
        def tick() -> None: ...
        @app.cloud(Minute)
        def page(rows: list[Minute], lake: Lake) -> None: ...
        """)
    )
    manifest = load(str(file)).manifest()
    assert [(column.name, column.type) for column in manifest.facts[0].columns] == [
        ("truck", "string"),
        ("mean", "float64"),
    ]
    assert {(f.name, f.layer, f.trigger) for f in manifest.functions} == {
        ("guard", "edge", 'mqtt("t/{truck}")'),
        ("per_minute", "stream", 'mqtt("t/{truck}")'),
        ("predict", "edge", "per_minute"),
        ("tick", "edge", 'every("10s")'),
        ("page", "cloud", "minute"),
    }
    assert manifest.functions[0].line == AFTER_HEAD
