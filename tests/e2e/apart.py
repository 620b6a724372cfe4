"""A hub and its nodes as users start them, each a supervisor with its processes, for the end-to-end tests.

The hub is on 127.0.0.2, which is this machine and yet no loopback address that is believed: all goes by TLS.
"""

import subprocess
import sys
from pathlib import Path

from .running import PATIENCE, Dev

HOST = "127.0.0.2"


class Hub(Dev):
    """One running `rimward hub run --json`."""

    def __init__(self, app: Path, data: Path, *options: str, listen: str = f"{HOST}:0") -> None:
        super().__init__(app, data)
        self._arguments = [
            sys.executable, "-m", "rimward", "hub", "run", "--app", str(app), "--json", "--data", str(data),
            "--listen", listen, "--bus-port", "0", *options,
        ]  # fmt: skip

    def join_string(self, *options: str) -> str:
        """Return a new one."""
        done = self.run("hub", "token", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Node(Dev):
    """One running `rimward node run --json`."""

    def __init__(self, app: Path, data: Path, *options: str) -> None:
        super().__init__(app, data)
        self._arguments = [
            sys.executable, "-m", "rimward", "node", "run", str(app), "--json", "--data", str(data),
            "--mqtt", "0", "--http", "0", *options,
        ]  # fmt: skip


def join(string: str, name: str, data: Path) -> subprocess.CompletedProcess[str]:
    """Run `rimward node join` with a string from standard input."""
    return subprocess.run(
        [sys.executable, "-m", "rimward", "node", "join", "--name", name, "--data", str(data)],
        input=string, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
