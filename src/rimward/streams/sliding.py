"""Sliding windows of one key: each of the same size, one beginning at every step, aligned to the epoch.

An event is folded once, into its pane: a stretch as long as the greatest common divisor of size and step. A
window that closes merges its panes, so an event costs the same however much windows overlap. Lateness and
lateness' count are as those of tumbling windows: late is what comes after every window of its is closed; what
comes after only some are closed counts in the others.
"""

from math import gcd
from typing import Any, Generic, TypeVar

from rimward.streams.folds import Fold
from rimward.streams.watermark import Watermark
from rimward.streams.window import Closed, Window, close

R = TypeVar("R")
MAX_OVERLAP = 1_000  # windows that one event may be in, and panes of a window


class Sliding(Generic[R]):
    """The windows of one key."""

    __slots__ = ("_fold", "_next", "_pane", "_panes", "_size", "_step", "_watermark", "late")

    def __init__(self, size_ns: int, step_ns: int, lateness_ns: int, fold: Fold[R]) -> None:
        if not 0 < step_ns <= size_ns:
            raise ValueError(
                f"sliding: every is {step_ns} ns, it must be positive and at most the size, {size_ns}"
            )
        self._size, self._step = size_ns, step_ns
        self._pane = gcd(size_ns, step_ns)
        if size_ns // self._pane > MAX_OVERLAP:
            raise ValueError(
                f"sliding: a window has {size_ns // self._pane} panes, the limit is {MAX_OVERLAP}"
            )
        self._fold = fold
        self._watermark = Watermark(lateness_ns)
        self._panes: dict[int, Window[R]] = {}  # by start
        self._next: int | None = None  # start of the oldest window that has events and is not closed
        self.late: int = 0

    def insert(self, time_ns: int, value: Any) -> list[Closed[R]]:
        """Take an event; return the windows that it closed, oldest first."""
        start = time_ns - time_ns % self._pane
        pane = self._panes.get(start)
        if pane is None:
            if self._last_with(start) + self._size <= self._watermark.value:
                self.late += 1
                return []
            pane = Window(start, start + self._pane, self._fold.new())
        pane.cell.add(time_ns, value)
        pane.count += 1
        if pane.count == 1:
            self._panes[start] = pane
            first = self._first_with(start)
            if self._next is None or first < self._next:
                self._next = first
        self._watermark.observe(time_ns)
        return self._close()

    def advance(self, watermark_ns: int) -> list[Closed[R]]:
        """Move the watermark on without an event; return the windows that this closed, oldest first."""
        self._watermark.advance(watermark_ns)
        return self._close()

    def deadline(self) -> int | None:
        """Return the watermark, ns, at which the next window is closed."""
        return None if self._next is None else self._next + self._size

    def snapshot(self) -> list[Any]:
        """Return the state as builtins that msgpack can carry."""
        panes = [[p.start, p.count, p.cell.snapshot()] for _, p in sorted(self._panes.items())]
        return [self._watermark.snapshot(), self.late, self._next, panes]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state in place of the present one."""
        watermark, late, next_, saved = snapshot
        panes = {
            start: Window(start, start + self._pane, self._fold.restore(cell), count)
            for start, count, cell in saved
        }
        self._watermark.restore(watermark)
        self._panes, self._next, self.late = panes, next_, late

    def _first_with(self, pane: int) -> int:
        """Return the start of the oldest window that a pane is in and that is not closed."""
        first = -(-(pane + self._pane - self._size) // self._step) * self._step
        open_from = self._watermark.value - self._size + 1  # a window that starts before it is over
        return max(first, -(-open_from // self._step) * self._step)

    def _last_with(self, pane: int) -> int:
        """Return the start of the newest window that a pane is in."""
        return pane // self._step * self._step

    def _close(self) -> list[Closed[R]]:
        closed: list[Closed[R]] = []
        while self._next is not None and self._next + self._size <= self._watermark.value:
            closed.append(self._merged(self._next))
            after = self._next + self._step
            for start in [start for start in self._panes if self._last_with(start) < after]:
                del self._panes[start]
            self._next = (
                min(max(after, self._first_of(start)) for start in self._panes) if self._panes else None
            )
        return closed

    def _first_of(self, pane: int) -> int:
        return -(-(pane + self._pane - self._size) // self._step) * self._step

    def _merged(self, start: int) -> Closed[R]:
        end = start + self._size
        window = Window(start, end, self._fold.new())
        try:
            for at in range(start, end, self._pane):
                if (pane := self._panes.get(at)) is not None:
                    window.cell.merge(pane.cell)
                    window.count += pane.count
        except Exception as error:  # noqa: BLE001 (the panes keep more values than one window may)
            return Closed(start, end, None, window.count, error)
        return close(window)
