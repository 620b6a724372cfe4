"""One writer alone, for a store without put-if-absent: two of them would each take the other's commits away.

On this machine a lock says who it is, which dies with its process. Another hub is told by a claim in the
store itself, which stays: such a store can't tell two claims of one moment apart (docs/adr/0116).
"""

import fcntl
import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.cloud.lake.storage import Storage
from rimward.events import RimwardError

CLAIM = "_writer.json"  # at the lake's root
LOCK = "writer.lock"  # in the hub's folder
NAME = "writer.id"


class SecondWriter(RimwardError):
    """Another process writes to the lake, and its store can't keep two apart."""

    code = "second-writer"


class Claim(Struct, frozen=True):
    """Whose lake it is."""

    hub: str  # what `writer.id` says in the hub's folder
    data: str  # that folder


class SoleWriter:
    """The right to write to a lake, where the store leaves it to one process."""

    def __init__(self, storage: Storage, data: Path, what: str) -> None:
        """Take it; `what` is who asks, for people. A store that excludes gives it to everybody.

        Raises:
            SecondWriter: another process has it, or another hub.
            OSError: the disk or the store refused.
        """
        self._lock: int | None = None
        if storage.excludes():
            return
        folder = data / "hub"
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / LOCK, storage, what)
        try:
            _claim(storage, folder, data)
        except BaseException:
            self.close()
            raise

    @property
    def alone(self) -> bool:
        """Whether this is the one process that may write."""
        return self._lock is not None

    def close(self) -> None:
        """Give it back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(path: Path, storage: Storage, what: str) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 200, 0).decode(errors="replace").strip()
        os.close(lock)
        raise SecondWriter(
            f"{storage!r} has no put-if-absent, so one process alone may write to it, and that is {holder}: "
            f"{what} can't (ingest_processes = 1, or a store with put-if-absent)"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{what}, process {os.getpid()}".encode(), 0)
    return lock


def _claim(storage: Storage, folder: Path, data: Path) -> None:
    name = folder / NAME
    if not name.exists():
        name.write_text(secrets.token_hex(8))
    mine = Claim(name.read_text(), str(data))
    found = storage.read(CLAIM)
    if found is None:
        storage.put(CLAIM, msgspec.json.encode(mine))
        found = storage.read(CLAIM)
    theirs = msgspec.json.decode(found or b"{}", type=Claim)
    if theirs.hub != mine.hub:
        raise SecondWriter(
            f"{storage!r} has no put-if-absent, and the hub in {theirs.data} writes to it: "
            f"if that one is gone for good, delete {CLAIM} there"
        )
