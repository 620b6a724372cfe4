"""A control group a worker, where some can be made: its memory and processes, counted by the kernel.

Both versions of control groups; where there are none that can be written, what is bounded otherwise stays so.
"""

import os
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from rimward.wire.functions import Enforced, Fork

_NAME = "rimward-workers-"
_ROOM = (
    64 << 20
)  # bytes beside a worker's own: pages of files, and those that it shares with the zygote until written
_KINDS = ("memory", "pids")


class Cgroups:
    """The control groups of one zygote's workers."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> None:
        """`root` is where they are mounted, `own` says in which this process is."""
        self._bases: dict[str, Path] = {}
        self._root = root
        for kind, parent in _parents(root, own).items():
            _sweep(parent)
            base = parent / f"{_NAME}{os.getpid()}"
            with suppress(OSError):
                base.mkdir(exist_ok=True)
                if (base / _limit_file(kind, base)).exists():
                    self._bases[kind] = base

    def told(self, enforced: Enforced) -> Enforced:
        """Add to what is enforced by what."""
        return replace(enforced, by=(*enforced.by, *(f"{kind} cgroup" for kind in self._bases)))

    def hold(self, pid: int, fork: Fork) -> None:
        """Put a worker into groups of its own."""
        limits = {"memory": fork.memory + _ROOM, "pids": fork.processes + fork.threads}
        for kind, base in self._bases.items():
            group = base / str(fork.number)
            with suppress(OSError):
                group.mkdir()
                (group / _limit_file(kind, group)).write_text(str(limits[kind]))
                (group / "cgroup.procs").write_text(str(pid))

    def release(self, number: int) -> str:
        """Take a worker's groups away; return why it ended, if that was the kernel's doing for its memory."""
        text = ""
        for kind, base in self._bases.items():
            group = base / str(number)
            if kind == "memory" and _killed(group):
                text = "it took more memory than its control group has"
            with suppress(OSError):
                group.rmdir()
        return text

    def close(self) -> None:
        """Take all away."""
        for base in self._bases.values():
            _remove(base)


def _parents(root: Path, own: Path) -> dict[str, Path]:
    """Return the folders in which groups for memory and processes can be made."""
    found: dict[str, Path] = {}
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        _, kinds, path = line.split(":", 2)
        for kind in _KINDS:
            if kind in kinds.split(","):
                found[kind] = root / kind / path.lstrip("/")
            elif not kinds and kind not in found and (root / "cgroup.controllers").exists():
                found[kind] = root / path.lstrip("/")
    return {kind: parent for kind, parent in found.items() if os.access(parent, os.W_OK)}


def _limit_file(kind: str, group: Path) -> str:
    if kind == "pids":
        return "pids.max"
    return "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"


def _killed(group: Path) -> bool:
    for name in ("memory.events", "memory.oom_control"):
        with suppress(OSError):
            for line in (group / name).read_text().splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill":
                    return int(count) > 0
    return False


def _sweep(parent: Path) -> None:
    """Take away what zygotes that were killed have left."""
    with suppress(OSError):
        for base in parent.glob(f"{_NAME}*"):
            if not Path("/proc", base.name.removeprefix(_NAME)).exists():
                _remove(base)


def _remove(base: Path) -> None:
    for group in (*base.glob("[0-9]*"), base):
        with suppress(OSError):
            group.rmdir()
