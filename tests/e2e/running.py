"""`rimward dev` as a user starts it, in a process of its own, for the end-to-end tests."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

PATIENCE = 40.0  # seconds that anything may take before a test gives up; never a measure of speed


class Dev:
    """One running `rimward dev --json`."""

    def __init__(
        self, app: Path, data: Path, *options: str, environment: dict[str, str] | None = None
    ) -> None:
        self.data = data
        self._environment = environment
        self._log = data.with_suffix(".stderr")
        self._arguments = [
            sys.executable, "-m", "rimward", "dev", str(app), "--json", "--data", str(data),
            "--mqtt", "0", "--http", "0", "--console", "0", *options,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self._log.read_text()
        self.ready: dict[str, Any] = json.loads(line)["ready"]
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the command line beside it."""
        return subprocess.run(
            [sys.executable, "-m", "rimward", *arguments, "--data", str(self.data)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def json_lines(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what a command says with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def json_lines_of_any(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what a command says with --json, whatever its exit code means."""
        return [json.loads(line) for line in self.run(*arguments, "--json").stdout.splitlines()]

    def pids(self) -> dict[str, int | None]:
        """Return the processes as they are now, as their supervisor writes them down."""
        states = json.loads((self.data / "run" / "processes.json").read_text())
        return {"dev": self.process.pid} | {name: one["pid"] for name, one in states.items()}

    def kill(self, name: str) -> int:
        """Kill -9 one process, wait until another stands in its place, and return the dead one's pid."""
        before = self.pids()[name]
        assert before is not None, f"{name} does not run"
        os.kill(before, signal.SIGKILL)
        until(lambda: gone(before), f"{name} is dead")
        until(lambda: self.pids()[name] not in (before, None), f"{name} is restarted")
        return before

    def cut_power(self) -> None:
        """Kill -9 everything at once."""
        pids = [pid for pid in self.pids().values() if pid is not None]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: all(gone(pid) for pid in pids), "everything is dead")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE} s: {what}"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True
