"""A kill -9 of a real process changes nothing in what its streams give."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

START = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGES = [
    {"celsius": float(celsius), "at": (START + timedelta(seconds=index / 2)).isoformat()}
    for index, celsius in enumerate([1, 2, 2, 5, 4, 4, 7, 1, 3, 9])
]


def outputs(folder: Path, cuts: list[int]) -> list[str]:
    """Return what a stream gives of the messages; its process is killed before each cut."""
    given: list[str] = []
    folder.mkdir()
    for begin, end in zip([0, *cuts], [*cuts, len(MESSAGES)], strict=True):
        command = [sys.executable, "-m", "tests.edge.dispatch.killed", str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            for message in MESSAGES[begin:end]:
                child.stdin.write(json.dumps(message).encode() + b"\n")
                child.stdin.flush()
                while (line := child.stdout.readline().decode().strip()) != "on disk":
                    assert line, "it ended by itself"
                    given.append(line)
            child.kill()
            assert child.wait() == -9
    return given


@pytest.mark.timeout(120)
def test_a_process_killed_twice_gives_what_one_gives_that_lives(tmp_path: Path) -> None:
    whole = outputs(tmp_path / "whole", [])
    assert len(whole) >= 3
    assert outputs(tmp_path / "cut", [3, 7]) == whole
