"""What a worker may not do: tried as whoever runs the tests, and as an ordinary user where that is root."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rimward.edge.functions import landlock, seccomp
from rimward.edge.functions.cgroups import Cgroups
from rimward.edge.functions.confining import ground_of
from rimward.edge.functions.syscalls import numbers
from rimward.wire.functions import Enforced, Fork

TRIAL = """
import json, mmap, os, socket, sys, threading
from rimward.edge.functions.confining import confine, ground_of
from rimward.wire.functions import Confined
allowed, hidden = sys.argv[1:3]
parent = os.getppid()
missing = confine(Confined(read=(allowed,), hidden=(hidden,), memory=64 << 20), ground_of("x:app"))
def tell(what):
    try:
        what()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "done"
def bomb():
    for _ in range(10000):
        os.fork() or os._exit(0)
thread = threading.Thread(target=lambda: None)
print(json.dumps({
    "missing": missing,
    "read": tell(lambda: open(allowed + "/a").read()),
    "hidden": tell(lambda: open(hidden + "/key").read()),
    "passwords": tell(lambda: open("/etc/shadow").read()),
    "of the parent": tell(lambda: open(f"/proc/{parent}/environ").read()),
    "write": tell(lambda: open(allowed + "/b", "w")),
    "tcp": tell(lambda: socket.socket()),
    "udp": tell(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "unix": tell(lambda: socket.socket(socket.AF_UNIX)),
    "pair": tell(socket.socketpair),
    "fork bomb": tell(bomb),
    "run": tell(lambda: os.execv("/bin/true", ["true"])),
    "kill": tell(lambda: os.kill(parent, 0)),
    "kill all": tell(lambda: os.kill(-1, 0)),
    "own signal": tell(lambda: os.kill(os.getpid(), 0)),
    "memory": tell(lambda: bytearray(200 << 20)),
    "shared memory": tell(lambda: mmap.mmap(-1, 1 << 30)),
    "thread": tell(lambda: (thread.start(), thread.join())),
}))
"""
WANTED: dict[str, object] = {
    "missing": {}, "read": "done", "hidden": "PermissionError", "passwords": "PermissionError",
    "of the parent": "PermissionError", "write": "PermissionError", "tcp": "PermissionError",
    "udp": "PermissionError", "unix": "PermissionError", "pair": "done", "fork bomb": "PermissionError",
    "run": "PermissionError", "kill": "PermissionError", "kill all": "PermissionError", "own signal": "done",
    "memory": "MemoryError", "shared memory": "OSError", "thread": "done",
}  # fmt: skip
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.mark.skipif(
    landlock.version() < 6 or numbers() is None, reason="this kernel enforces less, which status tells"
)
@pytest.mark.parametrize("before", [(), NOBODY], ids=["as we are", "as nobody"])
def test_a_confined_process_can_do_nothing_but_compute(before: tuple[str, ...], tmp_path: Path) -> None:
    if before and (os.geteuid() != 0 or shutil.which(before[0]) is None):
        pytest.skip("only root can become somebody else")
    folder = Path("/tmp", f"rimward-confining-{os.getpid()}")
    hidden = folder / "data"
    try:
        hidden.mkdir(parents=True)
        (folder / "a").write_text("a")
        (hidden / "key").write_text("secret")
        done = subprocess.run(
            [*before, sys.executable, "-c", TRIAL, str(folder), str(hidden)],
            capture_output=True, text=True, check=False, cwd="/", timeout=60,
        )  # fmt: skip
        if before and not done.stdout:
            pytest.skip(f"nobody can't run this interpreter: {done.stderr[-200:]}")
        assert json.loads(done.stdout) == WANTED, done.stderr
    finally:
        shutil.rmtree(folder)
    assert tmp_path.exists()


def test_a_filter_ends_in_an_answer_whatever_the_call() -> None:
    for network in (False, True):
        for processes in (False, True):
            steps = seccomp.program(pid=7, network=network, processes=processes)
            for at, (code, jump, other, _) in enumerate(steps):
                if code in (0x15, 0x35, 0x45):
                    assert at + 1 + max(jump, other) < len(steps)
            assert steps[-1][0] == 0x06


def test_what_lies_beside_something_hidden_is_allowed_piece_by_piece(tmp_path: Path) -> None:
    for name in ("app.py", "data/key", "data/run/x", "models/a", "deep/er/data/key", "deep/er/other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "way").symlink_to(tmp_path / "data")
    hidden = (str(tmp_path / "data"), str(tmp_path / "deep/er/data"))
    found = dict(landlock.around(str(tmp_path), 0b1100, hidden))
    whole = {path.removeprefix(f"{tmp_path}/") for path, rights in found.items() if rights == 0b1100}
    assert whole == {"app.py", "models", "deep/er/other"}
    assert set(found.values()) == {0b1100, 0b1000}
    assert dict(landlock.around(str(tmp_path / "data" / "run"), 0b1100, hidden)) == {}


def test_a_worker_has_control_groups_of_its_own_where_some_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("3:pids:/here\n2:memory:/\n0::/\n")
    for kind, file in (("memory", "memory.limit_in_bytes"), ("pids", "pids.max")):
        parent = tmp_path / kind / ("here" if kind == "pids" else "")
        base = parent / f"rimward-workers-{os.getpid()}-x"
        (base / "42").mkdir(parents=True)
        (base / file).touch()
        (parent / "rimward-workers-999999999-y").mkdir()
    groups = Cgroups(tmp_path, tmp_path / "own", "x")
    assert groups.told(Enforced()).by == ("pids cgroup", "memory cgroup")
    assert not (tmp_path / "memory" / "rimward-workers-999999999-y").exists()
    memory = tmp_path / "memory" / f"rimward-workers-{os.getpid()}-x" / "42"
    (memory / "memory.oom_control").write_text("under_oom 0\noom_kill 1\n")
    groups.hold(42, None)
    assert (memory / "cgroup.procs").read_text() == "42"
    groups.hold(42, Fork(5, 1 << 20, 0))
    assert int((memory / "memory.limit_in_bytes").read_text()) >= 1 << 20
    assert "memory" in groups.why(42)
    assert groups.why(43) == ""


def test_what_begins_with_a_dot_beside_the_app_is_hidden(tmp_path: Path) -> None:
    for name in ("app.py", ".env", ".ssh/key", "model"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    ground = ground_of(f"{tmp_path}/app.py:app")
    assert str(tmp_path) in ground.paths
    assert {one for one in ground.hidden if one.startswith(str(tmp_path))} == {
        f"{tmp_path}/.env",
        f"{tmp_path}/.ssh",
    }
    assert "/" not in ground.paths
