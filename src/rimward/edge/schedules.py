"""Cron lines on a node: which time ran last, and which runs next. No loop, no clock of its own.

The last time is kept with what its run has done. Times that were missed, with the node off or its clock not
believed, run once. A clock that is not believed runs nothing: it names no time. One that was set back by no
more than some hours runs nothing twice.
"""

import msgspec
from msgspec import Struct

from rimward.app.triggers import Cron

AHEAD = 3 * 3_600_000_000_000  # ns by which the last time may be ahead of a clock that was set back


class Position(Struct, frozen=True, array_like=True):
    """The last time that ran, on disk."""

    line: str  # with its zone: another one begins anew
    at: int  # wall ns


class Schedule:
    """One function's times."""

    def __init__(self, trigger: Cron, stored: bytes | None = None) -> None:
        """`stored` is the position that an earlier start has kept."""
        self._trigger = trigger
        self.line: str = str(trigger)
        self._at: int | None = None  # the last time that ran, or the beginning
        self._next: tuple[int, int] | None = None  # of which last time it follows, and the next time
        self.rests_until: int = 0  # monotonic ns: a run was refused, and is tried again then
        if stored is not None:
            position = msgspec.msgpack.decode(stored, type=Position)
            self._at = position.at if position.line == self.line else None

    def begin(self, now: int) -> bool:
        """Begin at a wall time, ns, where there is no position that fits the clock; tell whether so."""
        if self._at is not None and self._at <= now + AHEAD:
            return False
        self._at = now
        return True

    def missed(self, now: int) -> int | None:
        """Return the newest time that has come and has not run, wall ns; `begin` first."""
        following = self.next_at()
        if self._at is None or following is None or following > now:
            return None
        return self._trigger.line.newest(self._at, now, self._trigger.zone)

    def next_at(self) -> int | None:
        """Return the time after the last one that ran, wall ns; None before it has begun."""
        if self._at is None:
            return None
        if self._next is None or self._next[0] != self._at:
            self._next = self._at, self._trigger.line.next_after(self._at, self._trigger.zone)
        return self._next[1]

    def take(self, at: int) -> int:
        """Take a time as run, and return the one before it."""
        assert self._at is not None
        before, self._at = self._at, at
        return before

    def give_back(self, at: int, before: int) -> None:
        """Take it that a time has not run after all."""
        if self._at == at:
            self._at = before

    def kept(self) -> bytes:
        """Return the position for the disk."""
        assert self._at is not None
        return msgspec.msgpack.encode(Position(self.line, self._at))
