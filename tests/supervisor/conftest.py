"""A supervisor in a process of its own, and the tiny programs that it runs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

PATIENCE = 20.0  # seconds that anything may take before a test gives up; never a measure of speed
READY = (
    "import os, sys, signal\nos.write(int(sys.argv[1]), b'{\"said\": 1}\\n')\nos.close(int(sys.argv[1]))\n"
)
SERVE = READY + "signal.pause()\n"


def program(code: str, *arguments: str) -> list[str]:
    """Return the arguments of a program that starts quickly."""
    return [sys.executable, "-S", "-E", "-c", code, *arguments]


def process(name: str, code: str = SERVE, *arguments: str, **more: Any) -> dict[str, Any]:
    """Return a spec's entry; the first argument is the ready descriptor."""
    return {"name": name, "argv": program(code, "{ready}", *arguments), **more}


class Running:
    """One supervisor."""

    def __init__(
        self,
        folder: Path,
        *processes: dict[str, Any],
        listeners: dict[str, Any] | None = None,
        faults: bool = False,
    ) -> None:
        self.folder = folder
        self.state_file = folder / "processes.json"
        spec = {
            "logs": str(folder / "logs"),
            "state": str(folder / "processes.json"),
            "listeners": {
                name: ["127.0.0.1", one] if isinstance(one, int) else one
                for name, one in (listeners or {}).items()
            },
            "processes": list(processes),
        } | ({"faults": str(folder / "faults.json")} if faults else {})
        (folder / "spec.json").write_text(json.dumps(spec))

    def __enter__(self) -> Self:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "rimward_supervisor", str(self.folder / "spec.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pids: dict[str, int] = {}
        return self

    def __exit__(self, *_: object) -> None:
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.close()
        try:
            self.popen.wait(PATIENCE)
        finally:
            self.popen.kill()
            self.popen.wait()
            self.popen.stdout.close()

    def say(self, line: str) -> None:
        """Give a command."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def event(self) -> dict[str, Any]:
        """Return the next event."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line, "the supervisor has ended"
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "started":
            self.pids[event["name"]] = event["pid"]
        return event

    def until(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Return the next event of a kind, of a process if one is named."""
        while (event := self.event())["event"] != kind or name not in (None, event.get("name")):
            pass
        return event

    def ready(self, *names: str) -> None:
        """Wait until the processes named are ready, in whatever order."""
        missing = set(names)
        while missing:
            missing.discard(self.until("ready")["name"])

    def rest(self) -> list[dict[str, Any]]:
        """Return every event until it ends."""
        assert self.popen.stdout is not None
        return [json.loads(line) for line in self.popen.stdout]

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        return (self.folder / "logs" / f"{name}.log").read_text()

    def state(self) -> dict[str, Any]:
        """Return the state file."""
        return json.loads((self.folder / "processes.json").read_bytes())


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Make supervisors; whatever a failed test leaves of their processes is killed."""
    made: list[Running] = []

    def make(*processes: dict[str, Any], **more: Any) -> Running:
        made.append(Running(tmp_path, *processes, **more))
        return made[-1]

    yield make
    for running in made:
        for pid in getattr(running, "pids", {}).values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def stopped(pid: int) -> bool:
    """Tell whether a process stands still: SIGSTOP takes hold some time after it was sent."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; the test's own time limit ends what never does."""
    while not condition():
        signal.sigtimedwait([], 0.01)
