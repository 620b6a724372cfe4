"""Windows of a number of events, in the order in which they came, whatever their times are.

A window of `size` events ends at each `step`-th event from the `size`-th on. Like sliding windows they are
merged from panes.
"""

from collections import deque
from typing import Any, Generic, TypeVar

from rimward.streams.folds import Fold
from rimward.streams.window import Closed, Window, close

R = TypeVar("R")
MAX_PANES = 1_000  # of one window


class Counting(Generic[R]):
    """The windows of one key; their bounds are the oldest event's time and the newest's, one ns after it."""

    __slots__ = ("_fold", "_panes", "_step", "_want", "late")

    def __init__(self, size: int, step: int, fold: Fold[R]) -> None:
        if step <= 0 or size % step or size // step > MAX_PANES:
            raise ValueError(f"count_window: size is {size}, it must be 1 to {MAX_PANES} times every={step}")
        self._step = step
        self._want = size // step  # panes
        self._fold = fold
        self._panes: deque[Window[R]] = deque()  # the last one takes events
        self.late: int = 0

    def insert(self, time_ns: int, value: Any) -> list[Closed[R]]:
        """Take an event; return the window that it ended."""
        new = not self._panes or self._panes[-1].count == self._step
        pane = Window(time_ns, time_ns + 1, self._fold.new()) if new else self._panes[-1]
        pane.cell.add(time_ns, value)
        pane.count += 1
        if new:
            self._panes.append(pane)
        pane.start = min(pane.start, time_ns)
        pane.end = max(pane.end, time_ns + 1)
        if pane.count < self._step or len(self._panes) < self._want:
            return []
        closed = self._merged()
        self._panes.popleft()
        return [closed]

    def advance(self, watermark_ns: int) -> list[Closed[R]]:
        """Do nothing: only events end these windows."""
        del watermark_ns
        return []

    def deadline(self) -> int | None:
        """Return that no time ends them."""
        return None

    def snapshot(self) -> list[Any]:
        """Return the state as builtins that msgpack can carry."""
        return [[pane.start, pane.end, pane.count, pane.cell.snapshot()] for pane in self._panes]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state in place of the present one."""
        self._panes = deque(
            Window(start, end, self._fold.restore(cell), count) for start, end, count, cell in snapshot
        )

    def _merged(self) -> Closed[R]:
        panes = self._panes
        if len(panes) == 1:
            return close(panes[0])
        start, end = min(pane.start for pane in panes), max(pane.end for pane in panes)
        window = Window(start, end, self._fold.new(), sum(pane.count for pane in panes))
        try:
            for pane in panes:
                window.cell.merge(pane.cell)
        except Exception as error:  # noqa: BLE001 (the panes keep more values than one window may)
            return Closed(start, end, None, window.count, error)
        return close(window)
