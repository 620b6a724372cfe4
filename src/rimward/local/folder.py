"""The data folder: where what is, and the lock that keeps a second Rimward out of it."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from rimward.local.errors import DevError

NAME = ".rimward"
HANDOVER = 10.0  # seconds in which what a killed predecessor left is cleared away


class DataFolder:
    """The paths under one data folder."""

    def __init__(self, root: Path) -> None:
        self.root: Path = root.absolute()
        self.run: Path = self.root / "run"
        self.logs: Path = self.root / "logs"
        self.processes: Path = self.run / "processes.json"
        self.ready: Path = self.run / "ready.json"
        self.manifest: Path = self.run / "manifest.json"
        self.events: Path = self.run / "events.json"  # who may read the events of committed rows
        self.traces: Path = self.root / "node" / "trace.db"
        self.uplink: Path = self.root / "node" / "uplink.json"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            DevError: they can't be written.
        """
        try:
            for folder in (self.root, self.run, self.logs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.run.chmod(0o700)
            probe = self.run / f"probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = error.strerror or str(error)
            raise DevError(
                f"the data folder {self.root} can't be written ({reason}): choose another with --data DIR"
            ) from error

    def lock(self) -> int:
        """Take the folder and return the lock's descriptor; it is free when every process closed that.

        Raises:
            DevError: another Rimward has it.
        """
        fd = os.open(self.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        end = time.monotonic() + HANDOVER
        while not _try_lock(fd):
            holder = os.pread(fd, 20, 0).decode(errors="replace").strip()
            if (holder.isdigit() and alive(int(holder))) or time.monotonic() > end:
                os.close(fd)
                raise DevError(
                    f"{self.root} is in use by process {holder or '?'} (rimward dev): "
                    "stop that one, or choose another folder with --data DIR"
                )
            time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def write(self, path: Path, content: Any) -> None:
        """Write JSON that only the owner can read; readers see the old or the new, never a part.

        Raises:
            DevError: the disk refused it.
        """
        data = content if isinstance(content, bytes) else msgspec.json.encode(content)
        fresh = path.with_suffix(f".{os.getpid()}")
        try:
            fresh.touch(mode=0o600)
            fresh.write_bytes(data)
            fresh.replace(path)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise DevError(
                f"{path} can't be written ({error.strerror or error}): "
                "free some space, or choose another folder with --data DIR"
            ) from error

    def keep(self, path: Path, content: Any) -> None:
        """Write JSON as `write` does, unless that is what stands there.

        Raises:
            DevError: the disk refused it.
        """
        data = msgspec.json.encode(content)
        with suppress(OSError):
            if path.read_bytes() == data:
                return
        self.write(path, data)


def alive(pid: int) -> bool:
    """Return whether a process runs (one that has ended but was not waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def find(start: Path) -> Path | None:
    """Return the nearest data folder from `start` upward."""
    for folder in (start, *start.parents):
        with suppress(OSError):
            if (folder / NAME / "run").is_dir():
                return folder / NAME
    return None


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
