"""The clock that credentials are judged by: it never goes back (GUARANTEES §6).

A device whose battery is empty starts in 1970, and a token that has ended would be good again. The time is at
least the latest that was ever seen here, which is kept in a file, and at least that of this installation.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STEP = 60_000_000_000  # ns between two notes of the time


def installed_at() -> int:
    """Return when this code was put here, ns since the epoch."""
    try:
        return Path(__file__).stat().st_mtime_ns
    except OSError:
        return 0


class TrustedClock:
    """Wall ns that only grow."""

    def __init__(self, wall: Callable[[], int], file: Path | None = None, built: int | None = None) -> None:
        """`file` keeps the latest time that was seen; without one it is kept while the process lives."""
        self._wall = wall
        self._file = file
        self._latest = installed_at() if built is None else built
        self._noted = 0
        if file is not None:
            with suppress(OSError, ValueError):
                self._noted = int(file.read_text("ascii"))
                self._latest = max(self._latest, self._noted)

    def __call__(self) -> int:
        """Return the time, ns since the epoch."""
        self._latest: int = max(self._latest, self._wall())
        return self._latest

    def note(self) -> None:
        """Keep the time on disk, about once a minute; a disk that refuses costs nothing but this safety."""
        now = self()
        if self._file is None or now - self._noted < STEP:
            return
        self._noted: int = now
        fresh = self._file.with_suffix(".new")
        with suppress(OSError):
            fresh.write_text(str(now), "ascii")
            fresh.replace(self._file)
