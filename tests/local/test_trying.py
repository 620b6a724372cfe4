import shlex
from pathlib import Path

import pytest

from rimward.app.loading import load_manifest
from rimward.local.trying import send_line

HEAD = """\
from msgspec import Struct
from rimward import App, every, http, mqtt
app = App("x", compat="2026-11-01")
class Note(Struct):
    text: str
@app.edge(every("1s"))
def beat() -> None: ...
"""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            '@app.edge(mqtt("it\'s/{a}"))\ndef f(a: str, note: Note) -> None: ...',
            ["mqtt", "it's/1", '{"text": "text"}'],
        ),
        ('@app.edge(mqtt("a"))\ndef f(text: str) -> None: ...', ["mqtt", "a", "hello"]),
        ('@app.edge(http.get("/a/{b}"))\ndef f(b: int) -> str: return "x"', ["http", "GET", "/a/1"]),
        (
            '@app.edge(http.post("/a"))\ndef f(note: Note) -> None: ...',
            ["http", "POST", "/a", '{"text": "text"}'],
        ),
    ],
    ids=["quoted", "text", "get", "post"],
)
def test_the_line_is_one_that_the_shell_and_the_command_take(
    tmp_path: Path, function: str, words: list[str]
) -> None:
    file = tmp_path / "app.py"
    file.write_text(HEAD + function + "\n")
    manifest = load_manifest(str(file))
    line = send_line(manifest, Path(".rimward"), 0)
    assert line is not None
    assert shlex.split(line) == ["rimward", "send", *words]
    elsewhere = send_line(manifest, Path("/some where"), 0)
    assert elsewhere == f"{line} --data '/some where'"


def test_an_app_that_nobody_sends_to_has_no_line(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(HEAD)
    assert send_line(load_manifest(str(file)), Path(".rimward"), 0) is None
