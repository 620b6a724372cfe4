"""A window, open and closed."""

from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from rimward.streams.folds import Cell

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Closed(Struct, Generic[R], frozen=True):
    """A window that is over: start <= event time < end, ns since the epoch."""

    start: int
    end: int
    value: R | None
    count: int  # events
    error: Exception | None = None  # what the fold raised instead of giving the value


class Window(Generic[R]):
    """A window that still takes events."""

    __slots__ = ("cell", "count", "end", "start")

    def __init__(self, start: int, end: int, cell: Cell[R], count: int = 0) -> None:
        self.start: int = start
        self.end: int = end
        self.cell: Cell[R] = cell
        self.count: int = count


class Windows(Protocol[R_co]):
    """The windows of one key."""

    late: int  # events that came after their window was closed

    def insert(self, time_ns: int, value: Any) -> list[Closed[Any]]:
        """Take an event; return the windows that it closed, oldest first.

        Raises:
            WindowFull: the window keeps as many values as it may; the event has changed nothing.
            TypeError: a value is of no type that the fold can take; the event has changed nothing.
        """
        ...

    def advance(self, watermark_ns: int) -> list[Closed[Any]]:
        """Move the watermark on without an event; return the windows that this closed, oldest first."""
        ...

    def deadline(self) -> int | None:
        """Return the watermark, ns, at which the next window is closed; None when none waits for one."""
        ...

    def snapshot(self) -> list[Any]:
        """Return the state as builtins that msgpack can carry."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state in place of the present one."""
        ...


def close(window: Window[R]) -> Closed[R]:
    """Return a window that is over with what its values come to."""
    try:
        value = window.cell.result(window.start, window.end)
    except Exception as error:  # noqa: BLE001 (a user's function: the driver is told, and no other window suffers)
        return Closed(window.start, window.end, None, window.count, error)
    return Closed(window.start, window.end, value, window.count)
