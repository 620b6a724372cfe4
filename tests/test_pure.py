"""Sources beside compiled modules: which of them are run."""

import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from rimward.pure import COMPILED, _Sources


@pytest.mark.parametrize("package", COMPILED)
def test_the_source_is_found_where_a_compiled_module_lies_beside_it(package: str, tmp_path: Path) -> None:
    (tmp_path / "stream.py").write_text("")
    (tmp_path / f"stream{EXTENSION_SUFFIXES[0]}").write_bytes(b"")
    spec = _Sources.find_spec(f"{package}.stream", [str(tmp_path)])
    assert spec is not None
    assert spec.origin == str(tmp_path / "stream.py")


def test_other_packages_are_found_as_ever(tmp_path: Path) -> None:
    (tmp_path / "stream.py").write_text("")
    assert _Sources.find_spec("rimward.edge.stream", [str(tmp_path)]) is None
    assert _Sources.find_spec("rimward") is None


@pytest.mark.parametrize(("value", "asked"), [("1", True), ("", False)])
def test_the_environment_decides(value: str, *, asked: bool) -> None:
    code = "import sys, rimward, rimward.pure as p; sys.exit(p._Sources not in sys.meta_path)"
    ended = subprocess.run([sys.executable, "-c", code], env={"RIMWARD_PURE": value}, check=False)
    assert (ended.returncode == 0) is asked


def test_the_build_and_the_finder_name_the_same_packages() -> None:
    hook = (Path(__file__).parents[1] / "hatch_build.py").read_text()
    assert all(f'"{package.replace(".", "/")}"' in hook for package in COMPILED)
