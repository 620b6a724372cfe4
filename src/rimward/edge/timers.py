"""Pending timers: which there are, when each is due, and what of it the disk holds. No loop of its own.

A delay is counted by CLOCK_BOOTTIME, which nobody can set and which goes on while the machine sleeps. The
disk has the wall clock's time too, for the next boot of the machine: a timer is then due by what is left of
its delay, never by more than the delay. A wall clock that is not believed counts from the latest time that
was seen here: a timer may be late by as long as the node was off, and is never early or lost (GUARANTEES §5).
"""

import heapq
from collections.abc import Iterator
from itertools import count

import msgspec
from msgspec import Struct

from rimward.edge.clock import NodeClock
from rimward.events import TimersFull

LIMIT = 100_000  # pending timers of a node; one more is refused
PAUSE, LONGEST = 1_000_000_000, 60_000_000_000  # ns before a firing that was refused is tried again; doubled
MOVED = 1_000_000_000  # ns that the wall clock is set by before the disk is told of timers' new times
FIRST = 16  # entries below which the heap is not cleaned up


class Pending(Struct, eq=False):
    """One timer that waits for its time."""

    function: str
    key: str
    id: str  # of its firing: the same at every try
    delay: int  # ns
    due: int  # ns of this boot
    wall: int | None  # ns since the epoch at which it is due; None: the clock was not believed
    tries: int = 0


class Kept(Struct, frozen=True, array_like=True):
    """A timer on disk."""

    id: str
    delay: int  # ns
    boot: str
    due: int  # ns of that boot
    wall: int | None


class Queue:
    """The pending timers of one function."""

    def __init__(self) -> None:
        self.pending: dict[str, Pending] = {}  # by key
        self._heap: list[tuple[int, int, Pending]] = []  # some of them are not pending any more
        self._count = count()

    def push(self, timer: Pending) -> None:
        """Let a pending timer be found by its time."""
        if len(self._heap) > 2 * len(self.pending) + FIRST:  # timers that are moved again and again
            self._heap = [(one.due, next(self._count), one) for one in self.pending.values()]
            heapq.heapify(self._heap)
            return
        heapq.heappush(self._heap, (timer.due, next(self._count), timer))

    def due(self) -> int | None:
        """Return when the first is due, ns of this boot; None where none is pending."""
        while self._heap:
            at, _, timer = self._heap[0]
            if timer.due == at and self.pending.get(timer.key) is timer:
                return at
            heapq.heappop(self._heap)
        return None

    def pop(self) -> Pending:
        """Return the first; it stays pending."""
        return heapq.heappop(self._heap)[2]


class Timers:
    """All pending timers of a node."""

    def __init__(self, clock: NodeClock, limit: int = LIMIT) -> None:
        self.clock = clock
        self.limit: int = limit
        self._queues: dict[str, Queue] = {}  # by function
        self._resting: dict[str, Queue] = {}  # of functions that the app has no more
        self._doubtful: list[Pending] = []  # whose time is guessed until the wall clock is believed
        self._offset: int | None = None  # the wall clock less this boot's count, where it is believed

    def __len__(self) -> int:
        return sum(len(queue.pending) for queue in self._queues.values())

    def now(self) -> int:
        """Return this boot's count, ns."""
        return self.clock.boottime()

    def admit(self, function: str, key: str) -> None:
        """Tell whether a key's timer may be pending.

        Raises:
            TimersFull: the limit is reached.
        """
        if (pending := len(self)) >= self.limit and self.find(function, key) is None:
            raise TimersFull(f"state.after: {pending} timers are pending, the limit is {self.limit}")

    def restore(self, function: str, stored: dict[str, bytes]) -> None:
        """Begin with a function, and take over its timers from the disk."""
        self._queues[function] = Queue()
        decoder = msgspec.msgpack.Decoder(Kept)
        for key, value in stored.items():
            self._place(function, key, decoder.decode(value))

    def rest(self, function: str) -> None:
        """Let a function's timers be, neither due nor lost, until it is woken."""
        self._resting[function] = self._queues.pop(function)

    def wake(self, function: str) -> bool:
        """Go on with a function's timers; False where it is not known."""
        if function in self._resting:
            self._queues[function] = self._resting.pop(function)
        return function in self._queues

    def _queue(self, function: str) -> Queue:
        return self._queues[function] if function in self._queues else self._resting[function]

    # -- one timer

    def find(self, function: str, key: str) -> Pending | None:
        """Return a key's pending timer of a function."""
        return self._queue(function).pending.get(key)

    def pending(self, function: str) -> list[Pending]:
        """Return the pending timers of a function."""
        return list(self._queues[function].pending.values()) if function in self._queues else []

    def made(self, function: str, key: str, id_: str, delay: int) -> Pending:
        """Return a new timer; `put` makes it pending."""
        due, wall = self.now() + delay, self.clock.believed()
        return Pending(function, key, id_, delay, due, None if wall is None else wall + delay)

    def put(self, function: str, key: str, timer: Pending | None) -> None:
        """Make a timer the pending one of its function and key, or leave none."""
        queue = self._queue(function)
        if timer is None:
            queue.pending.pop(key, None)
            return
        queue.pending[key] = timer
        queue.push(timer)

    def again(self, timer: Pending) -> None:
        """Make a timer pending once more whose firing was refused, after a pause."""
        timer.due = self.now() + min(LONGEST, PAUSE << min(timer.tries, 16))
        timer.tries += 1
        self.put(timer.function, timer.key, timer)

    def is_pending(self, timer: Pending) -> bool:
        """Tell whether a timer has not been cancelled, moved or taken."""
        return self.find(timer.function, timer.key) is timer

    def kept(self, timer: Pending) -> bytes:
        """Return a timer for the disk."""
        kept = Kept(timer.id, timer.delay, self.clock.boot, timer.due, timer.wall)
        return msgspec.msgpack.encode(kept)

    def _place(self, function: str, key: str, kept: Kept) -> None:
        now = self.now()
        timer = Pending(function, key, kept.id, kept.delay, kept.due, kept.wall)
        if kept.boot != self.clock.boot or kept.due - kept.delay > now:
            timer.due = now + self._left(kept.delay, kept.wall)
            if self.clock.believed() is None:
                self._doubtful.append(timer)
        self.put(function, key, timer)

    def _left(self, delay: int, wall: int | None) -> int:
        """Return what is left of a delay that began in another boot, ns."""
        return delay if wall is None else min(delay, max(0, wall - self.clock.earliest()))

    # -- all of them

    def due(self) -> int | None:
        """Return when the first is due, ns of this boot; None where none is pending."""
        return min((due for one in self._queues.values() if (due := one.due()) is not None), default=None)

    def ripe(self, most: int) -> list[Pending]:
        """Return those whose time has come, the longest due first; they stay pending until they are taken."""
        found: list[Pending] = []
        now = self.now()
        while len(found) < most:
            dues = {due: queue for queue in self._queues.values() if (due := queue.due()) is not None}
            first = min(dues, default=None)
            if first is None or first > now:
                break
            found.append(dues[first].pop())
        return found

    def follow_wall_clock(self) -> Iterator[Pending]:
        """Look what happened to the wall clock; yield the timers of which the disk should have a new time.

        Those of an earlier boot that were guessed get their time as soon as the clock is believed.
        """
        wall = self.clock.believed()
        if wall is None:
            return
        now = self.now()
        for timer in self._doubtful:
            if self.is_pending(timer):
                timer.due = min(timer.due, now + self._left(timer.delay, timer.wall))
                self._queue(timer.function).push(timer)
        self._doubtful.clear()
        first = self._offset is None
        if self._offset is not None and abs(wall - now - self._offset) <= MOVED:
            return
        self._offset = wall - now
        for timer in [one for queue in self._queues.values() for one in queue.pending.values()]:
            if timer.wall is None or not first:
                timer.wall = wall + timer.due - now
                yield timer

    def next_of(self, function: str) -> tuple[int, int | None]:
        """Return how many timers of a function are pending, and when the first is due, wall ns."""
        queue = self._queues[function]
        due = queue.due()
        return len(queue.pending), None if due is None else self.clock.earliest() + due - self.now()
