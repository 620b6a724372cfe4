"""Components before they run: what is kept of them, and what is told of those that are none."""

import os
from pathlib import Path

import pytest
import wasmtime
import wasmtime.component
from tests.edge.functions.test_wasm import TOY, write_toy

from rimward.app.wasm import Component
from rimward.edge.functions.wasm import building
from rimward.edge.functions.wasm.cache import KEPT, Cache
from rimward.edge.functions.wasm.deadline import Deadline
from rimward.edge.functions.wasm.engine import Cell, compiled, engine
from rimward.edge.functions.wasm.making import make, make_now
from rimward.events import LoadError

OTHER = """
(component
  (core module $m (func (export "call")))
  (core instance $i (instantiate $m))
  (func (export "call") (canon lift (core func $i "call"))))
"""
RENAMED = TOY.replace('(func (export "call") (param "request"', '(func (export "run") (param "request"')


def toy_at(folder: Path) -> Component:
    write_toy(folder)
    return Component(str(folder / "toy.wasm"), "component")


def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    component, cache = toy_at(tmp_path), Cache(tmp_path / "made")
    path = make_now(component, cache)
    before = path.stat().st_ino
    assert make_now(component, cache) == path
    assert path.stat().st_ino == before


def test_another_text_has_another_name_and_a_comment_in_what_it_imports_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    rules, helpers = tmp_path / "rules.py", tmp_path / "helpers.py"
    rules.write_text("import helpers\n")
    names: set[Path] = set()
    for text in ("", "# other", ""):
        helpers.write_text(text)
        names.add(cache.path(Component(str(rules), "module")))
    assert len(names) == 2


def test_the_folder_of_compiled_code_is_its_users_alone(tmp_path: Path) -> None:
    component, folder = toy_at(tmp_path), tmp_path / "made"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(LoadError, match="others than this user can write"):
        make_now(component, Cache(folder))
    folder.chmod(0o700)
    make_now(component, Cache(folder))
    folder.chmod(0o777)
    with pytest.raises(LoadError, match="others than this user can write"):
        make_now(component, Cache(folder))  # what is there may be theirs


def test_what_was_unused_for_longest_makes_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for number in range(KEPT + 2):
        path = tmp_path / f"{number}.cwasm"
        cache.write(path, b"")
        os.utime(path, (number, number))
    cache.write(tmp_path / "last.cwasm", b"")
    left = {path.stem for path in tmp_path.glob("*.cwasm")}
    assert len(left) == KEPT
    assert {"last", str(KEPT + 1)} <= left
    assert "0" not in left


@pytest.mark.parametrize(
    ("wat", "why"),
    [
        (OTHER, "does not take text and return text"),
        (RENAMED, "no function 'call'"),
    ],
)
def test_a_component_of_another_world_is_refused(wat: str, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        compiled(bytes(wasmtime.wat2wasm(wat)))


async def test_a_mistake_of_the_process_that_makes_them_is_told_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "other.wasm"
    file.write_bytes(bytes(wasmtime.wat2wasm(OTHER)))
    with pytest.raises(LoadError, match="does not take text") as caught:
        await make([Component(str(file), "component")], tmp_path / "made")
    assert caught.value.file == str(file)
    assert caught.value.cure


def test_a_module_that_can_not_be_imported_is_told_at_its_line(tmp_path: Path) -> None:
    said = """AssertionError: Traceback (most recent call last):
  File "/0/rimward_component.py", line 1, in <module>
  File "/0/rules.py", line 4, in <module>
ModuleNotFoundError: No module named '_sqlite3'


Caused by:
    ModuleNotFoundError: No module named '_sqlite3'
"""
    error = building._mistake(tmp_path / "rules.py", said)
    assert (error.file, error.line) == (str(tmp_path / "rules.py"), 4)
    assert "No module named '_sqlite3'" in error.message


def test_a_deadline_ends_what_runs_too_long_and_nothing_else() -> None:
    ended: list[int] = []
    deadline = Deadline(20_000_000, lambda: ended.append(1))
    for _ in range(100):
        deadline.begin()
        deadline.end()
    deadline.begin()
    while not ended:
        pass
    deadline.end()
    deadline.close()
    assert deadline._thread is not None
    deadline._thread.join()


def test_an_instance_has_no_more_memory_than_it_is_given() -> None:
    own = engine()
    component = wasmtime.component.Component(own, TOY)  # begins with a page of 64 KiB
    assert Cell(own, component, 1 << 16, print).call('{"function":"count"}') == '{"json":1}'
    with pytest.raises(wasmtime.WasmtimeError, match="memory"):
        Cell(own, component, 1 << 15, print)
