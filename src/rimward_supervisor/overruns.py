"""When a call is asked to stop, and when its process is killed. Pure: what was seen is an argument.

A shared machine stands still for 60 to 900 ms by itself, so the clock alone proves nothing: what counts is
the processor time that the thread has used in the call, and the clock only while it sleeps in the call.
"""

from typing import NamedTuple

MARGIN = 250_000_000  # ns of processor time past the limit, asked to stop all the while, before the kill
STUCK = 5_000_000_000  # ns that a call may sleep on, past its limit and asked to stop, before the kill
NOTHING, ASK, KILL = range(3)


class Seen(NamedTuple):
    """One look at a thread that runs calls. Times are ns."""

    now: int
    start: int  # when the call began; 0: none runs
    soft: int  # its own time after which it is asked to stop
    hard: int  # its limit
    cpu: int  # processor time of the thread since it began
    sleeps: bool  # it waits for something, rather than for a processor


class Stretch:
    """The call that runs now, as far as it has been seen."""

    def __init__(self) -> None:
        self._start = 0
        self._burnt = 0  # ns of processor time before the first look at it
        self._cpu = 0  # of the thread at that look
        self._last_cpu = 0  # of the thread at the look before any
        self._slept = 0  # looks in a row that found it asleep
        self._asked_at: int | None = None

    @property
    def asked(self) -> bool:
        """Whether the call that runs was asked to stop."""
        return self._asked_at is not None

    def judge(self, seen: Seen) -> int:
        """Return what is to be done now."""
        if seen.start != self._start:
            self._begin(seen)
        self._last_cpu = seen.cpu
        if not seen.start:
            return NOTHING
        self._slept = self._slept + 1 if seen.sleeps else 0
        burnt, took = self.burnt(seen), seen.now - seen.start
        asleep = self._slept > 1
        if self._asked_at is None and (burnt >= seen.soft or (asleep and took >= seen.soft)):
            self._asked_at = seen.now
        if self._asked_at is None:
            return NOTHING
        if burnt >= seen.hard + MARGIN:
            return KILL
        late = max(self._asked_at, seen.start + seen.hard) + STUCK
        return KILL if asleep and seen.now >= late else ASK

    def burnt(self, seen: Seen) -> int:
        """Return the processor time that the call has used, ns."""
        return self._burnt + seen.cpu - self._cpu

    def asleep(self) -> bool:
        """Whether the call has slept at two looks in a row."""
        return self._slept > 1

    def _begin(self, seen: Seen) -> None:
        self._start, self._asked_at, self._slept = seen.start, None, 0
        self._burnt = max(0, min(seen.now - seen.start, seen.cpu - self._last_cpu))
        self._cpu = seen.cpu
