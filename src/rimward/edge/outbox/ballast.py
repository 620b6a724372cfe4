"""Bytes of the disk that the outbox holds for the day when nothing else is left (GUARANTEES §3).

Rows leave a reserve free, but whoever else writes to the disk does not. So a part of the reserve is a file
of real blocks. On a full disk it is given back, for what has to be written then: that rows are lost, that
the lake has rows, that a start begins (docs/adr/0117).
"""

import contextlib
import os
from pathlib import Path

from rimward.observe.disk import sync

PART = 4  # the file is a quarter of the reserve
NAME = "outbox.ballast"


class Ballast:
    """The file beside the outbox."""

    def __init__(self, folder: Path, reserve: int) -> None:
        """`reserve` is what rows leave of the disk, bytes."""
        self._path = folder / NAME
        self.size: int = reserve // PART

    @property
    def held(self) -> int:
        """The bytes that it holds now."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def take(self, free: int) -> bool:
        """Take the bytes where they are not held and so many are free; tell whether they are held now."""
        if self.held >= self.size:
            return True
        if free < PART * self.size:
            return False
        draft = self._path.with_suffix(".new")
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self.size)  # blocks, not a hole
                os.fsync(fd)
            finally:
                os.close(fd)
            draft.replace(self._path)
            sync(self._path.parent)
        except OSError:  # the disk has less than it says, or gives nothing in advance
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            return False
        return True

    def give_back(self) -> bool:
        """Give the bytes back; tell whether there were any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
