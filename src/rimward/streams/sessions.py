"""Session windows of one key: events that are less than a gap apart are of one session.

A session ends when the watermark has passed its last event by the gap. An event between two sessions joins
them. Late is what would make a session that is over already and joins none that is open.
"""

from typing import Any, Generic, TypeVar

from rimward.streams.accumulators import WindowFull
from rimward.streams.folds import Fold
from rimward.streams.watermark import Watermark
from rimward.streams.window import Closed, Window, close

R = TypeVar("R")
MAX_OPEN = 1_000  # sessions of one key at a time


class Sessions(Generic[R]):
    """The sessions of one key; a window's end is that of its last event and the gap."""

    __slots__ = ("_fold", "_gap", "_open", "_watermark", "late")

    def __init__(self, gap_ns: int, lateness_ns: int, fold: Fold[R]) -> None:
        if gap_ns <= 0:
            raise ValueError(f"session: gap is {gap_ns} ns, it must be positive")
        self._gap = gap_ns
        self._fold = fold
        self._watermark = Watermark(lateness_ns)
        self._open: list[Window[R]] = []  # oldest first, at least a gap apart
        self.late: int = 0

    def insert(self, time_ns: int, value: Any) -> list[Closed[R]]:
        """Take an event; return the sessions that it ended, oldest first."""
        index, count = self._met(time_ns)
        if count == 0:
            if time_ns + self._gap <= self._watermark.value:
                self.late += 1
                return []
            if len(self._open) >= MAX_OPEN:
                raise WindowFull(f"session: {MAX_OPEN} sessions are open, the limit: shorten lateness=")
            window = Window(time_ns, time_ns + self._gap, self._fold.new())
            window.cell.add(time_ns, value)
            self._open.insert(index, window)
        elif count == 1:
            window = self._open[index]
            window.cell.add(time_ns, value)
        else:  # it is between two: both become one
            before, after = self._open[index : index + 2]
            window = Window(before.start, after.end, self._fold.new(), before.count + after.count)
            window.cell.merge(before.cell)
            window.cell.merge(after.cell)
            window.cell.add(time_ns, value)
            self._open[index : index + 2] = [window]
        window.start = min(window.start, time_ns)
        window.end = max(window.end, time_ns + self._gap)
        window.count += 1
        self._watermark.observe(time_ns)
        return self._close()

    def advance(self, watermark_ns: int) -> list[Closed[R]]:
        """Move the watermark on without an event; return the sessions that this ended, oldest first."""
        self._watermark.advance(watermark_ns)
        return self._close()

    def deadline(self) -> int | None:
        """Return the watermark, ns, at which the oldest session ends."""
        return self._open[0].end if self._open else None

    def snapshot(self) -> list[Any]:
        """Return the state as builtins that msgpack can carry."""
        windows = [[w.start, w.end, w.count, w.cell.snapshot()] for w in self._open]
        return [self._watermark.snapshot(), self.late, windows]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state in place of the present one."""
        watermark, late, saved = snapshot
        windows = [Window(start, end, self._fold.restore(cell), count) for start, end, count, cell in saved]
        self._watermark.restore(watermark)
        self._open, self.late = windows, late

    def _met(self, time: int) -> tuple[int, int]:
        """Return where an event's sessions are among the open ones, and how many: none, one or two."""
        index = len(self._open)
        while index and self._open[index - 1].end > time:
            index -= 1
        last = index
        while last < len(self._open) and self._open[last].start - self._gap < time:
            last += 1
        return index, last - index

    def _close(self) -> list[Closed[R]]:
        closed: list[Closed[R]] = []
        while self._open and self._open[0].end <= self._watermark.value:
            closed.append(close(self._open.pop(0)))
        return closed
