"""Completion, by the shell itself."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rimward.cli import VERBS, parser_of

from .commands import command

ASK = """\
source ./rimward.bash
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _rimward; echo "${COMPREPLY[*]}"; }
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell")
    done = command("completion", "bash", at=folder)
    assert done.returncode == 0
    (folder / "rimward.bash").write_text(done.stdout)
    (folder / "app.py").touch()
    return folder


def completed(shell: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of some words."""
    asked = ASK + "ask rimward " + " ".join(f"'{word}'" for word in words)
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "-c", asked], cwd=shell, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split()


def test_bash_offers_every_verb_and_what_begins_so(shell: Path) -> None:
    assert completed(shell, "") == [*VERBS, "--help", "--version"]
    assert completed(shell, "st") == ["status"]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "send"])
def test_bash_offers_every_option_of_a_verb(shell: Path, verb: str) -> None:
    options = {name for action in parser_of(verb).flags for name in action.option_strings}
    assert set(completed(shell, verb, "--")) == {name for name in options if name.startswith("--")}


def test_bash_offers_what_follows_and_the_values_of_options(shell: Path) -> None:
    assert completed(shell, "send", "m") == ["mqtt"]
    assert completed(shell, "send", "mqtt", "a", "--q") == ["--qos"]
    assert completed(shell, "send", "mqtt", "a", "--qos", "") == ["0", "1"]
    assert completed(shell, "completion", "f") == ["fish"]
    assert completed(shell, "dev", "a") == ["app.py"]
    assert completed(shell, "dev", "app.py", "--data", "app") == ["app.py"]
    assert completed(shell, "dev", "app.py", "--mqtt", "") == []


@pytest.mark.parametrize("kind", ["zsh", "fish"])
def test_the_other_shells_are_told_every_verb_and_option(kind: str, tmp_path: Path) -> None:
    done = command("completion", kind, at=tmp_path)
    assert done.returncode == 0
    for verb, summary in VERBS.items():
        assert verb in done.stdout
        assert summary.partition("'")[0] in done.stdout
    names = {name for verb in VERBS for action in parser_of(verb).flags for name in action.option_strings}
    for name in names:
        assert name.startswith("--") is False or name.removeprefix("--") in done.stdout
