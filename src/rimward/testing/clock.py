"""The Site's time and loops: nothing happens by itself, and time moves only when the test moves it.

Each simulated process plans its work on a `Loop` of its own; what a killed one had planned is never run.
"""

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable

from rimward.events import Duration, nanoseconds

MONOTONIC_START = 1_000_000_000_000  # ns: a machine that has been up for a while, as any is


class Planned:
    """One callback that waits for its turn or its time."""

    __slots__ = ("_loop", "callback")

    def __init__(self, loop: "Loop", callback: Callable[[], object]) -> None:
        self._loop = loop
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Take it back."""
        self.callback = None

    @property
    def due(self) -> bool:
        """Whether it would still run."""
        return self.callback is not None and self._loop.alive

    def run(self) -> None:
        """Call it."""
        if self.callback is not None and self._loop.alive:
            self.callback()


class Clock:
    """Two clocks that stand still between two steps, and everything that is planned on them."""

    def __init__(self, start: int) -> None:
        """`start` is the wall clock's first moment, ns since the epoch."""
        self._now = 0  # ns since the start
        self._start = start
        self._ready: deque[Planned] = deque()
        self._timers: list[tuple[int, int, Planned]] = []
        self._count = itertools.count()
        self._running = False
        self._called = False  # the real loop will call `run`
        self._context = contextvars.copy_context()

    def monotonic(self) -> int:
        """Return the monotonic clock, ns."""
        return MONOTONIC_START + self._now

    def wall(self) -> int:
        """Return the wall clock, ns since the epoch."""
        return self._start + self._now

    def plan(self, planned: Planned, at: int | None = None) -> None:
        """Plan a callback for the next turn, or for a monotonic time in ns."""
        if at is not None:
            heapq.heappush(self._timers, (at, next(self._count), planned))
            return
        self._ready.append(planned)
        if not self._running and not self._called:
            self._call_soon()

    def _call_soon(self) -> None:
        """Let the real loop come around: what async functions plan runs without a test that waits for it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the next step runs it
        self._called = True
        loop.call_soon(self._come_around, context=self._context)

    def _come_around(self) -> None:
        self._called = False
        self.run()

    def run(self) -> None:
        """Run everything that waits for its turn, and what that plans for its own, until nothing does."""
        if self._running:
            return
        self._running = True
        try:
            while self._ready:
                self._ready.popleft().run()
        finally:
            self._running = False

    @property
    def next_at(self) -> int | None:
        """Monotonic ns of the next timer; None where there is none."""
        while self._timers and not self._timers[0][2].due:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def move(self, to: int) -> None:
        """Move both clocks to a monotonic time, ns, and make ready what is due by then."""
        assert to >= self.monotonic(), "time does not go back"
        self._now = to - MONOTONIC_START
        while self._timers and self._timers[0][0] <= to:
            self._ready.append(heapq.heappop(self._timers)[2])


class Loop:
    """One process's turns and timers."""

    def __init__(self, clock: Clock) -> None:
        self.clock: Clock = clock
        self.alive: bool = True

    def call_soon(self, callback: Callable[[], object], /) -> Planned:
        """Run the callback in the next turn."""
        planned = Planned(self, callback)
        self.clock.plan(planned)
        return planned

    def call_at(self, at: int, callback: Callable[[], object], /) -> Planned:
        """Run the callback at a monotonic time, ns."""
        planned = Planned(self, callback)
        self.clock.plan(planned, at)
        return planned

    def every(self, period: int, callback: Callable[[], object], /) -> None:
        """Run the callback at a steady beat, ns."""
        due = self.clock.monotonic() + period

        def beat() -> None:
            nonlocal due
            due += period
            self.call_at(due, beat)
            callback()

        self.call_at(due, beat)

    def kill(self) -> None:
        """Run nothing more."""
        self.alive = False


def whole_seconds(duration: Duration | None) -> int:
    """Return a time as protocols count it, at least one second; 0 where there is none."""
    return 0 if duration is None else max(1, round(nanoseconds(duration) / 1e9))
