"""Everything hostile that a function can do on the loop, as root and as an ordinary user.

`python -m tests.soak.hostile [TIMES]`. A line for each: how long the caller and everybody else waited. The
run fails where an acknowledged fact is lost, the process of a call that can be stopped is another one then,
one that can't be stopped is not moved, or the node does not serve again within `SERVING` seconds.
"""

import os
import pwd
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.edge.hostile import KILLS, STOPPED, Node

SERVING = 1.0  # seconds from the process's death to its next answer, on a machine that does nothing else
LIMITS = {"cut": 0.020, "fallback": 0.020}  # seconds; all others are stopped at 0.1
LATE = 0.015  # seconds of processor time beyond the limit
NOBODY = "nobody"


def main(arguments: list[str]) -> int:
    """Run it; 1 where something did not hold."""
    times = int(arguments[0]) if arguments else 1
    failures: list[str] = []
    for user, uid, python in _users():
        with tempfile.TemporaryDirectory(prefix="rimward-hostile-") as scratch:
            Path(scratch).chmod(0o755)
            with Node(Path(scratch), uid=uid, python=python) as node:
                for _ in range(times):
                    failures += [f"{user}: {one}" for one in (*_stopped(node, user), *_killed(node, user))]
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


def _users() -> list[tuple[str, int | None, str]]:
    """Return who is to run it: ourselves, and where we are root an ordinary user, with a Python for each."""
    if os.geteuid() != 0:
        return [("an ordinary user", None, sys.executable)]
    users: list[tuple[str, int | None, str]] = [("root", None, sys.executable)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with suppress(KeyError):
        uid = pwd.getpwnam(NOBODY).pw_uid
        for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
            with suppress(OSError, subprocess.CalledProcessError):
                command = [python, "-c", "import rimward.edge.node"]
                subprocess.run(command, user=uid, check=True, capture_output=True, env=environment)
                return [*users, (NOBODY, uid, python)]
    print(f"{NOBODY} can run no Python with these packages: not tried as an ordinary user")
    return users


def _stopped(node: Node, user: str) -> list[str]:
    failures: list[str] = []
    pid, before = node.pid, node.forwarded()
    for name in (*STOPPED, "fallback"):
        cpu, begun = _cpu(pid), time.monotonic()
        status, _ = node.ask(f"/{name}")
        took, burnt = time.monotonic() - begun, _cpu(pid) - cpu
        node.forward(1)
        print(f"{user:18} {name:12} {status}  caller {took * 1e3:7.1f} ms  processor {burnt * 1e3:6.1f} ms")
        if status != (200 if name == "fallback" else 504):
            failures.append(f"{name} was answered with {status}")
        if burnt > LIMITS.get(name, 0.1) + LATE + 0.010:  # and what the request itself and a clock tick take
            failures.append(f"{name} burnt {burnt * 1e3:.0f} ms")
    if node.pid != pid:
        failures.append("the process is another one")
    if node.forwarded() - before != len(STOPPED) + 1:
        failures.append("an acknowledged fact is lost")
    return failures


def _killed(node: Node, user: str) -> list[str]:
    failures: list[str] = []
    for name in (*KILLS, "bomb"):
        node.forward(3)
        before, since = node.forwarded(), len(node.events)
        status, _ = node.ask(f"/{name}")
        died = time.monotonic()
        served = node.ask("/seen")[0]
        took = time.monotonic() - died
        killed = any(one["event"] == "died" for one in node.events[since:])
        end = "killed" if killed else "ended by itself"
        print(f"{user:18} {name:12} {status or '---'}  {end}, served again after {took * 1e3:7.1f} ms")
        if name in KILLS and not killed and node.placed().get(name) != "process":
            failures.append(f"{name} did not end its process")
        if killed and node.placed().get(name) != "process":
            failures.append(f"{name} was not moved")
        if served != 204 or took > SERVING:
            failures.append(f"{name}: served again after {took:.2f} s ({served})")
        if node.forwarded() != before + 1:
            failures.append(f"{name}: an acknowledged fact is lost")
    return failures


def _cpu(pid: int) -> float:
    """Return the processor time of a process's main thread, seconds."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
