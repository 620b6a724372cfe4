"""The slot of a node: which function runs, since when, on what. The supervisor reads it.

Its layout is in `rimward_supervisor.slot`. Without a file it is memory that nobody reads: that of a node
under no supervision, or of a `Site`.
"""

from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

from rimward.app.functions import EdgeFunction
from rimward_supervisor.slot import (
    ASKED,
    EVENT,
    FUNCTION,
    HANDS,
    LIMITS,
    OFF,
    REPORT,
    START,
    STOP,
    SlotFile,
    Watched,
    write,
)
from rimward_supervisor.watch import WatchSpec

__all__ = [
    "ASKED", "EVENT", "FUNCTION", "HANDS", "OFF", "REPORT", "START", "STOP",
    "Slot", "digest", "soft_and_limit", "watch_spec",
]  # fmt: skip

CUT_TIMES = 2  # a function that is to be cut may take so many times its budget
SHORTEST = 0.020  # seconds: below it nothing is cut, shared machines stand still for longer
LIMIT_TIMES = 10  # of the budget, where no limit is named ...
LIMIT = 1.0  # ... and at least so many seconds


class Slot:
    """The words that dispatch writes around each call."""

    def __init__(self) -> None:
        self.words: memoryview = memoryview(bytearray(LIMITS * 8)).cast("Q")
        self.names: list[str] = []
        self._file: SlotFile | None = None

    def open(
        self, path: Path, functions: Iterable[EdgeFunction], streams: Iterable[str], *, hands: int, root: Path
    ) -> None:
        """Put the slot into a file for whoever watches; `hands` is what they may do.

        Raises:
            OSError: the disk refused it.
        """
        watched = _watched(functions, streams)
        write(str(path), list(watched.values()), hands, str(root))
        self.names = list(watched)
        self._file = SlotFile(str(path))
        self.words = self._file.words

    def turn(self, functions: Iterable[EdgeFunction], streams: Iterable[str], root: Path) -> bool:
        """Tell whoever watches of another version: new names get new numbers, the others keep theirs.

        False: there is no room for that many.
        """
        if self._file is None:
            return True
        known = {one.name: one for one in self._file.functions} | _watched(functions, streams)
        if not self._file.rewrite(list(known.values()), str(root)):
            return False
        self._file.refresh()
        self.names = list(known)
        return True


def _watched(functions: Iterable[EdgeFunction], streams: Iterable[str]) -> dict[str, Watched]:
    """Return what is watched of an app, by name, in the order of its numbers."""
    found = {
        one.name: Watched(one.name, round(soft * 1e9), round(limit * 1e9))
        for one in functions
        for soft, limit in (soft_and_limit(one),)
    }
    limit = round(LIMIT * 1e9)
    return found | {name: Watched(name, limit, limit) for name in streams}


def soft_and_limit(function: EdgeFunction) -> tuple[float, float]:
    """Return the seconds of its own time after which a function is asked to stop, and its limit."""
    budget, limit = function.budget, function.limit
    if limit is None:
        limit = max(LIMIT, LIMIT_TIMES * (budget or 0.0))
    if function.on_overrun == "finish" or budget is None:
        return limit, limit
    return min(limit, max(CUT_TIMES * budget, SHORTEST)), limit


def watch_spec(folder: Path) -> WatchSpec:
    """Return the files of a node's folder by which it is watched."""
    return WatchSpec(str(folder / "slot"), str(folder / "deaths"), str(folder / "stack"))


def digest(source: str, payload: bytes) -> int:
    """Return what tells an event from others, for one that kills: 32 bits of its source and its payload."""
    return crc32(payload, crc32(source.encode()))
