"""Tumbling windows of one key: event time cut into stretches side by side, aligned to the epoch.

A window is closed when the watermark reaches its end; an event whose window is closed is late, and one that
is too far ahead of its receiving is refused: both are counted and change nothing. As a window stays open
only for the lateness, at most lateness / size + 2 are open, whatever a device sends.
"""

from typing import Any, Generic, TypeVar

from rimward.streams.folds import Fold
from rimward.streams.watermark import DAY, Watermark
from rimward.streams.window import Closed, Window, close

R = TypeVar("R")


class Tumbling(Generic[R]):
    """The windows of one key; the driver brings events and, for a silent key, the passing of time."""

    __slots__ = ("_first_end", "_fold", "_lateness", "_newest", "_size", "_watermark", "_windows", "late")

    def __init__(self, size_ns: int, lateness_ns: int, fold: Fold[R], *, max_ahead_ns: int = DAY) -> None:
        if size_ns <= 0:
            raise ValueError(f"tumbling: size is {size_ns} ns, it must be positive")
        self._size = size_ns
        self._fold = fold
        self._lateness = lateness_ns
        self._watermark = Watermark(lateness_ns, max_ahead_ns)
        self._windows: dict[int, Window[R]] = {}  # by start
        self._newest: Window[R] | None = None  # the one that got the last event
        self._first_end: int | None = None  # ns; of the oldest open window
        self.late: int = 0  # events that came after their window was closed

    @property
    def ahead(self) -> int:
        """Events refused because their time was too far after their receiving."""
        return self._watermark.ahead

    @property
    def watermark(self) -> int:
        """The event time, ns, before which no event is waited for."""
        return self._watermark.value

    def insert(self, time_ns: int, value: Any, received_ns: int | None = None) -> list[Closed[R]]:
        """Take an event; return the windows that it closed, oldest first.

        Raises:
            WindowFull: the window keeps as many values as it may; the event has changed nothing.
            TypeError: a value is of no type that the fold can take; the event has changed nothing.
        """
        watermark = self._watermark
        if received_ns is not None and watermark.refuses(time_ns, received_ns):
            return []
        window = self._newest
        if window is None or not window.start <= time_ns < window.end:
            window = self._window_at(time_ns)
            if window is None:
                return []
        window.cell.add(time_ns, value)
        window.count += 1
        if window is not self._newest:
            self._open(window)
        reached = time_ns - self._lateness
        watermark.value = max(watermark.value, reached)  # as `observe` has it, without the call
        if self._first_end is not None and watermark.value >= self._first_end:
            return self._close()
        return []

    def advance(self, watermark_ns: int) -> list[Closed[R]]:
        """Move the watermark on without an event; return the windows that this closed, oldest first."""
        self._watermark.advance(watermark_ns)
        return self._close()

    def deadline(self) -> int | None:
        """Return the watermark, ns, at which the oldest open window is closed; None when none is open."""
        return self._first_end

    def snapshot(self) -> list[Any]:
        """Return the state as builtins that msgpack can carry."""
        windows = [[w.start, w.count, w.cell.snapshot()] for _, w in sorted(self._windows.items())]
        return [self._watermark.snapshot(), self.late, windows]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state in place of the present one."""
        watermark, late, saved = snapshot
        windows = [
            Window(start, start + self._size, self._fold.restore(cell), count) for start, count, cell in saved
        ]
        self._watermark.restore(watermark)
        self.late = late
        self._windows = {}
        self._newest = self._first_end = None
        for window in windows:
            self._open(window)

    def _window_at(self, time: int) -> Window[R] | None:
        """Return the event's window, not yet opened where it is new; None for a late event."""
        start = time - time % self._size
        window = self._windows.get(start)
        if window is not None:
            return window
        if start + self._size <= self._watermark.value:
            self.late += 1
            return None
        return Window(start, start + self._size, self._fold.new())

    def _open(self, window: Window[R]) -> None:
        self._windows[window.start] = self._newest = window
        if self._first_end is None or window.end < self._first_end:
            self._first_end = window.end

    def _close(self) -> list[Closed[R]]:
        watermark = self._watermark.value
        closed: list[Closed[R]] = []
        over = [start for start, window in self._windows.items() if window.end <= watermark]
        for start in over if len(over) == 1 else sorted(over):
            window = self._windows.pop(start)
            assert window.count > 0
            closed.append(close(window))
            if window is self._newest:
                self._newest = None
        self._first_end = min(self._windows) + self._size if self._windows else None
        assert self._first_end is None or self._first_end > watermark
        return closed
