"""Deadlines of many connections without a timer each: they wait in slots of one second."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """What waits in a wheel."""

    check_at: int  # the second in whose slot it waits


T = TypeVar("T", bound=Timed)


class Wheel(Generic[T]):
    """Hands out what is due. A connection is looked at once a deadline, not once a packet."""

    def __init__(self) -> None:
        self._slots: dict[int, set[T]] = {}
        self._next = 0  # the first slot that was not handed out

    def add(self, timed: T, deadline: float) -> None:
        """Wait until a time in monotonic seconds; the last call for one connection counts."""
        self.remove(timed)
        timed.check_at = max(int(deadline) + 1, self._next)
        self._slots.setdefault(timed.check_at, set()).add(timed)

    def remove(self, timed: T) -> None:
        """Forget a connection."""
        slot = self._slots.get(timed.check_at)
        if slot is not None:
            slot.discard(timed)

    @property
    def next_at(self) -> float | None:
        """Monotonic seconds at which the first of them is due; None where none waits."""
        return min((float(slot) for slot, waiting in self._slots.items() if waiting), default=None)

    def due(self, now: float) -> Iterator[T]:
        """Yield what waited for a time up to now, and forget it."""
        self._next = max(self._next, int(now) + 1)
        for slot in sorted(slot for slot in self._slots if slot < self._next):
            yield from self._slots.pop(slot)
