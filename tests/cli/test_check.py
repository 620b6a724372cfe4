"""`rimward check`: every mistake is one sentence or one JSON object, and nothing of the app's hurts it."""

from pathlib import Path

import pytest

from .commands import command, lines

GOOD = """\
from rimward import App, mqtt
app = App("good", compat="2026-11-01")
@app.edge(mqtt("a/{b}"))
def f(b: str, payload: bytes) -> None: ...
"""
KEEPS = """\
f(b: str, payload: bytes) -> None:
    global seen
    seen = b
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return tmp_path / "app.py"


@pytest.mark.parametrize(
    "before",
    [
        "",
        "print('hello'); import os, sys; os.system('echo hello'); os.write(1, b'hello'); sys.stdin.read()\n",
        "import threading, time; threading.Thread(target=time.sleep, args=(3600,)).start()\n",
        "try:\n    import pyarrow\nexcept ImportError:\n    pyarrow = None\n",
    ],
    ids=["plain", "prints", "threads", "can do without"],
)
def test_an_app_that_is_fine_is_summed_up(app: Path, before: str) -> None:
    app.write_text(before + GOOD)
    done = command("check", "app.py", at=app.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "app.py is fine: good has 1 at the edge, 0 as streams, 0 in the cloud, 0 facts\n"


def test_a_function_that_assigns_globals_is_warned_about(app: Path) -> None:
    app.write_text(GOOD.replace("f(b: str, payload: bytes) -> None: ...", KEEPS))
    done = command("check", "app.py", at=app.parent)
    assert done.returncode == 0
    assert done.stderr == (
        "warning: app.py:3: f assigns the global 'seen', which ends with the node's process and is nobody "
        "else's: keep it in a State[T]\n"
    )
    (summary,) = lines(command("check", "app.py", "--json", at=app.parent))
    assert len(summary["warnings"]) == 1


def test_an_editor_gets_the_functions_with_their_lines(app: Path) -> None:
    app.write_text(GOOD)
    (summary,) = lines(command("check", "app:app", "--json", at=app.parent))
    assert summary["app"] == "good"
    assert summary["functions"] == [{"name": "f", "layer": "edge", "trigger": 'mqtt("a/{b}")', "line": 3}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = (", {"line": 1, "message": "syntax error: '(' was never closed", "code": "load"}),
        (
            "import pyarrow\n" + GOOD,
            {
                "line": 1,
                "message": "it imports 'pyarrow', which only the cloud has",
                "code": "load",
            },
        ),
        (
            "import os; os._exit(0)",
            {
                "line": 0,
                "message": "importing it ended the process with exit code 0 (it said nothing)",
                "code": "ended",
            },
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            {"line": 0, "message": "importing it ended the process with signal 9 (it said nothing)"},
        ),
        (GOOD.partition("@")[0], {"line": 0, "message": "app.py has no functions", "code": "no-functions"}),
    ],
    ids=["syntax", "cloud", "exit", "killed", "empty"],
)
def test_a_problem_is_one_object_with_its_place_and_cure(
    app: Path, text: str, problem: dict[str, object]
) -> None:
    app.write_text(text)
    done = command("check", "app.py", "--json", at=app.parent)
    assert (done.returncode, done.stderr) == (1, "")
    (said,) = lines(done)
    assert list(said) == ["file", "line", "message", "cure", "code"]
    assert problem.items() <= said.items()


def test_what_the_group_cloud_alone_has_is_blocked_and_what_edge_has_too_is_not(app: Path) -> None:
    app.write_text("import hypothesis\n" + GOOD)
    project = app.with_name("pyproject.toml")
    project.write_text('[dependency-groups]\ncloud = ["Hypothesis>=6"]\n')
    done = command("check", "app.py", at=app.parent)
    assert done.returncode == 1
    assert "app.py:1: it imports 'hypothesis', which only the cloud has" in done.stderr
    project.write_text('[dependency-groups]\nedge = ["hypothesis"]\ncloud = [{include-group = "edge"}]\n')
    assert command("check", "app.py", at=app.parent).returncode == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone.py", "there is no file gone.py: the Python files there are app.py"),
        (".", ". is a folder: name the app's file, such as app.py"),
        ("gone", "there is no module gone: the Python files there are app.py"),
        ("notes.txt", "'notes.txt' names no Python file and no module: an app is app.py, app.py:name or"),
    ],
)
def test_a_name_that_is_no_app_is_told_with_what_is_there(app: Path, name: str, sentence: str) -> None:
    app.write_text(GOOD)
    app.with_name("notes.txt").touch()
    done = command("check", name, at=app.parent)
    assert done.returncode == 1
    assert done.stderr.startswith(f"rimward check: {sentence}")
