"""Tumbling windows of one key: event time cut into stretches side by side, aligned to the epoch.

A window is closed when the watermark reaches its end; an event whose window is closed is late, and one that
is too far ahead of its receiving is refused: both are counted and change nothing. As a window stays open
only for the lateness, at most lateness / size + 2 are open, whatever a device sends.
"""

from typing import Any, Generic, TypeVar

from msgspec import Struct

from rimward.streams.folds import Cell, Fold
from rimward.streams.watermark import DAY, Watermark

R = TypeVar("R")


class Closed(Struct, Generic[R], frozen=True):
    """A window that is over: start <= event time < end, ns since the epoch."""

    start: int
    end: int
    value: R | None
    count: int  # events
    error: Exception | None = None  # what the fold raised instead of giving the value


class _Window(Generic[R]):
    __slots__ = ("cell", "count", "end", "start")

    def __init__(self, start: int, end: int, cell: Cell[R]) -> None:
        self.start = start
        self.end = end
        self.cell = cell
        self.count = 0


class Tumbling(Generic[R]):
    """The windows of one key; the driver brings events and, for a silent key, the passing of time."""

    __slots__ = ("_first_end", "_fold", "_newest", "_size", "_watermark", "_windows", "late")

    def __init__(self, size_ns: int, lateness_ns: int, fold: Fold[R], *, max_ahead_ns: int = DAY) -> None:
        if size_ns <= 0:
            raise ValueError(f"tumbling: size is {size_ns} ns, it must be positive")
        self._size = size_ns
        self._fold = fold
        self._watermark = Watermark(lateness_ns, max_ahead_ns)
        self._windows: dict[int, _Window[R]] = {}  # by start
        self._newest: _Window[R] | None = None  # the one that got the last event
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
        watermark.observe(time_ns)
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
        watermark, self.late, windows = snapshot
        self._watermark.restore(watermark)
        self._windows = {}
        self._newest = self._first_end = None
        for start, count, cell in windows:
            window = _Window(start, start + self._size, self._fold.restore(cell))
            window.count = count
            self._open(window)

    def _window_at(self, time: int) -> _Window[R] | None:
        """Return the event's window, not yet opened where it is new; None for a late event."""
        start = time - time % self._size
        window = self._windows.get(start)
        if window is not None:
            return window
        if start + self._size <= self._watermark.value:
            self.late += 1
            return None
        return _Window(start, start + self._size, self._fold.new())

    def _open(self, window: _Window[R]) -> None:
        self._windows[window.start] = self._newest = window
        if self._first_end is None or window.end < self._first_end:
            self._first_end = window.end

    def _close(self) -> list[Closed[R]]:
        watermark = self._watermark.value
        closed: list[Closed[R]] = []
        for start in sorted(start for start, window in self._windows.items() if window.end <= watermark):
            window = self._windows.pop(start)
            assert window.count > 0
            closed.append(_closed(window))
            if window is self._newest:
                self._newest = None
        self._first_end = min(self._windows) + self._size if self._windows else None
        assert self._first_end is None or self._first_end > watermark
        return closed


def _closed(window: _Window[R]) -> Closed[R]:
    try:
        value = window.cell.result()
    except Exception as error:  # noqa: BLE001 (a user's function: the driver is told, and no other window suffers)
        return Closed(window.start, window.end, None, window.count, error)
    return Closed(window.start, window.end, value, window.count)
