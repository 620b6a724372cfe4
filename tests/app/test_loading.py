"""Each rule that an app file can break: the exact message, line and cure, and never a traceback."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from rimward import App, every
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


PART = """\
from msgspec import Struct
from rimward import Device, Part, State, States, mqtt
part = Part("doors")
class Change(Struct):
    open: bool
@part.fact(priority="bulk", name="door_change", was="DoorEvent")
class Opened(Struct):
    door: int
@part.state(key="door", expires="24h", was="OldDoor")
class Door(Struct):
    open: bool = False
@part.edge(mqtt("doors/{door}"))
def changed(door: int, change: Change, state: State[Door], doors: States[Door]) -> None: ...
"""


def test_a_part_is_taken_in_where_the_file_includes_it(tmp_path: Path) -> None:
    (tmp_path / "doors_of_this_test.py").write_text(PART)
    file = tmp_path / "app.py"
    file.write_text(
        HEAD
        + dedent("""\
        import doors_of_this_test as doors
        @app.edge(mqtt("a"))
        def first(reading: Reading) -> None: ...
        app.include(doors.part)
        @app.edge(mqtt("b"))
        def last(reading: Reading) -> None: ...
        @app.cloud(doors.Opened)
        async def count(rows: list[doors.Opened]) -> None: ...
        """)
    )
    app = load(str(file))
    assert [function.name for function in app.edge_functions] == ["first", "changed", "last"]
    tables = {fact.spec.name: fact.spec.table for fact in app.facts.values()}
    assert tables == {"Minute": "minute", "Opened": "door_event"}
    assert app.manifest().functions[1].file.endswith("doors_of_this_test.py")


def test_a_renamed_fact_keeps_its_table_and_what_its_waiting_rows_are_read_by(tmp_path: Path) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    text = 'from msgspec import Struct\nfrom rimward import App\napp = App("x", compat="2026-11-01")\n'
    before.write_text(text + "@app.fact\nclass TooWarm(Struct):\n    truck: str\n")
    after.write_text(text + '@app.fact(was="TooWarm")\nclass Hot(Struct):\n    truck: str\n')
    (old,), (new,) = load(str(before)).manifest().facts, load(str(after)).manifest().facts
    assert (new.name, new.table, new.fingerprint) == ("Hot", old.table, old.fingerprint)


def test_an_app_is_named_by_its_module_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_this_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "main.py").write_text(HEAD.replace("app = App", "cold = App").replace("@app", "@cold"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry])
    assert load("package_of_this_test.main:cold").name == "test"
    with pytest.raises(LoadError, match="'warm' is not an App"):
        load("package_of_this_test.main:warm")
    with pytest.raises(LoadError, match="names no module"):
        load("no module:app")


def test_spaces_and_quotes_in_names_are_just_names(tmp_path: Path) -> None:
    folder = tmp_path / "my 'apps'"
    folder.mkdir()
    file = folder / 'the "cold" chain.py'
    file.write_text(
        'from rimward import App, mqtt\napp = App("the \'cold\' chain", compat="2026-11-01")\n'
        '@app.edge(mqtt("a b/{c}/it\'s"))\ndef f(c: str, payload: bytes) -> None: ...\n'
    )
    manifest = load(str(file)).manifest()
    assert (manifest.app, manifest.functions[0].path) == ("the 'cold' chain", "a b/{c}/it's")


def test_a_type_that_holds_itself_is_a_payload_and_a_column_of_json(tmp_path: Path) -> None:
    file = tmp_path / "tree.py"
    file.write_text(
        dedent("""\
        from msgspec import Struct
        from rimward import App, State, mqtt
        app = App("tree", compat="2026-11-01")
        @app.fact
        class Branch(Struct):
            name: str
            below: list["Branch"] = []
        @app.state(key="tree")
        class Grown(Struct):
            top: Branch | None = None
        @app.edge(mqtt("trees/{tree}"))
        def grow(branch: Branch, state: State[Grown]) -> None: ...
        """)
    )
    manifest = load(str(file)).manifest()
    assert [column.type for column in manifest.facts[0].columns] == ["string", "json"]


def test_a_thousand_functions_load(tmp_path: Path) -> None:
    file = tmp_path / "thousand.py"
    functions = "".join(
        f'@app.edge(mqtt("t{n}/{{truck}}/x"))\n'
        f"def f{n}(truck: str, reading: Reading, state: State[Truck]) -> str: ...\n"
        for n in range(1000)
    )
    file.write_text(HEAD + functions)
    assert len(load(str(file)).edge_functions) == 1000


def test_what_is_declared_after_a_check_is_checked_by_the_next_one() -> None:
    app = App("late", compat="2026-11-01")
    app.check()

    def tick() -> None: ...

    app.edge(every("10s"))(tick)
    assert [function.name for function in app.edge_functions] == ["tick"]
