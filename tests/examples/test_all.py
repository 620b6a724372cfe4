"""What every example has: one page of code with a docstring, that the commands take as it is."""

import ast
from pathlib import Path

import pytest
from tests.cli.commands import command, lines

ROOT = Path(__file__).parents[2]
APPS = sorted(ROOT.glob("examples/*/app.py"))
LONGEST = {"cold_chain": 175}  # a function of each kind, and patterns of events


def named(app: Path) -> str:
    return app.parent.name


@pytest.mark.parametrize("app", APPS, ids=named)
def test_an_example_is_short_says_what_it_does_and_has_its_test(app: Path) -> None:
    text = app.read_text()
    assert len(text.splitlines()) <= LONGEST.get(named(app), 60)
    assert ast.get_docstring(ast.parse(text))
    assert (ROOT / f"tests/examples/test_{named(app)}.py").exists()


@pytest.mark.parametrize("app", APPS, ids=named)
def test_an_example_passes_check(app: Path) -> None:
    done = command("check", str(app), at=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("app", APPS, ids=named)
def test_the_boundary_of_an_example_names_each_of_its_facts(app: Path, tmp_path: Path) -> None:
    done = command("boundary", str(app), "--json", "--svg", str(tmp_path / "drawing.svg"), at=tmp_path)
    assert done.returncode == 0, done.stderr
    (told,) = lines(done)
    facts = app.read_text().count("@app.fact")
    assert len(told["crossing"]) == facts > 0
    assert (tmp_path / "drawing.svg").exists()
