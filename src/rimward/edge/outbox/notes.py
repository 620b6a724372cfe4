"""What the deep process writes down for the outbox's writer: files in the node's folder (docs/adr/0005).

Each has one writer, who puts a complete one in the place of the one before; it is read when it has changed.
"""

from pathlib import Path

import msgspec
from msgspec import Struct


class Note:
    """One such file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0, 0  # time of change, ns, and inode

    def news(self) -> bytes | None:
        """Return what it says if that has changed since it was last asked; None: nothing new.

        Raises:
            OSError: it is there and can't be read.
        """
        try:
            found = self._path.stat()
            seen = found.st_mtime_ns, found.st_ino
            if seen == self._seen:
                return None
            said = self._path.read_bytes()
        except FileNotFoundError:
            return None
        self._seen = seen
        return said

    def again(self) -> None:
        """Let it be news once more: what it asks for could not be done."""
        self._seen = 0, 0

    def done(self) -> None:
        """Delete it: what it asks for has been done."""
        self._path.unlink(missing_ok=True)


class Link(Struct, frozen=True):
    """How the uplink is."""

    up: bool
    since: int = 0  # wall ns

    @classmethod
    def decode(cls, data: bytes) -> "Link":
        """Read it.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.json.decode(data, type=cls)


class Damage(Struct, frozen=True):
    """What the reader could not read."""

    ranges: tuple[tuple[int, str, int, int], ...]  # (counter, lane, first, last) of each chunk
    torn: bool = False  # the file itself can't be read at some place

    def encode(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Damage":
        """Read it.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.json.decode(data, type=cls)
