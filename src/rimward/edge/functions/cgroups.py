"""A control group a worker, where some can be made: its memory and processes, counted by the kernel.

Both versions of control groups; where there are none that can be written, what is bounded otherwise stays so.
"""

import os
import time
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

    def __init__(
        self,
        root: Path = Path("/sys/fs/cgroup"),
        own: Path = Path("/proc/self/cgroup"),
        mark: str = "",
    ) -> None:
        """`root` is where they are mounted, `own` says in which this process is; `mark` is in their names."""
        self._bases: dict[str, Path] = {}
        for kind, parent in _parents(root, own).items():
            _sweep(parent)
            base = parent / f"{_NAME}{os.getpid()}-{mark or f'{time.monotonic_ns():x}'}"
            with suppress(OSError):
                base.mkdir(exist_ok=True)
                if (base / _limit_file(kind, base)).exists():
                    self._bases[kind] = base

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._bases)

    def told(self, enforced: Enforced) -> Enforced:
        """Add to what is enforced by what."""
        return replace(enforced, by=(*enforced.by, *(f"{kind} cgroup" for kind in self._bases)))

    def hold(self, pid: int, fork: Fork | None) -> None:
        """Put a process into groups of its own; bound what it may take, once that is known."""
        for kind, base in self._bases.items():
            group = base / str(pid)
            with suppress(OSError):
                group.mkdir(exist_ok=True)
                if fork is not None:
                    limits = {"memory": fork.memory + _ROOM, "pids": fork.processes + fork.threads}
                    (group / _limit_file(kind, group)).write_text(str(limits[kind]))
                if not _holds(group):
                    (group / "cgroup.procs").write_text(str(pid))

    def why(self, pid: int) -> str:
        """Return why a process ended, if that was the kernel's doing for its memory."""
        base = self._bases.get("memory")
        if base is not None and _killed(base / str(pid)):
            return "it took more memory than its control group has"
        return ""

    def remove(self, pid: int) -> None:
        """Take away the groups of one that has ended."""
        for base in self._bases.values():
            with suppress(OSError):
                (base / str(pid)).rmdir()

    def close(self) -> bool:
        """Take all away; tell whether nothing is left."""
        for base in self._bases.values():
            _remove(base)
        return not any(base.exists() for base in self._bases.values())


def _holds(group: Path) -> bool:
    """Tell whether something is in a group."""
    try:
        return bool((group / "cgroup.procs").read_text())
    except OSError:
        return False


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
            if not Path("/proc", base.name.removeprefix(_NAME).partition("-")[0]).exists():
                _remove(base)


def _remove(base: Path) -> None:
    for group in (*base.glob("[0-9]*"), base):
        with suppress(OSError):
            group.rmdir()
