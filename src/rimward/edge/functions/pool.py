"""The workers of one function: a key's calls go to one of them, in order; a dead one is replaced at once."""

import signal
from collections.abc import Callable
from typing import Protocol
from zlib import crc32

import msgspec

from rimward.edge.functions.link import Link, Pending
from rimward.events import WorkerDied, WorkerStopped
from rimward.observe import Logger, WorkerStats, get_logger
from rimward.wire.functions import Ask, Begin, Caller

log: Logger = get_logger("rimward.workers")

LOOK = 20_000_000  # ns between two looks for calls that take too long
PATIENCE = 5_000_000_000  # ns after which a call is ended that has had no processor for most of its limit
_SLEEPS = "SD"  # states of a thread that waits for something else
FREE = 3  # workers that may die one after the other, and the next is made at once
SHORTEST, LONGEST = 0.01, 1.0  # seconds that it waits after these, doubled with each further one
STILLBORN = 3  # workers one after the other that ended before they did anything: then calls are failed


class Host(Protocol):
    """What a pool asks of the owner of all."""

    def number(self) -> int:
        """Return a number that no other call and no other worker has."""
        ...

    def fork(self, link: Link, after: float) -> None:
        """Have a worker made, in so many seconds."""
        ...

    def kill(self, link: Link) -> None:
        """End a worker at once."""
        ...

    def monotonic(self) -> int:
        """Return the clock, ns."""
        ...

    def wall(self) -> int:
        """Return the wall clock, ns."""
        ...


class Bounds(msgspec.Struct, frozen=True):
    """What a pool may grow to."""

    size: int  # workers
    queue: int  # calls
    queue_bytes: int
    calls: int  # of one worker
    age: int  # ns
    memory: int  # bytes that a worker may have more than at its start
    limit: int  # ns of one call


class Pool:
    """The workers of one function."""

    def __init__(self, name: str, begin: Begin, bounds: Bounds, host: Host) -> None:
        self.name: str = name
        self.begin: Begin = begin
        self.bounds: Bounds = bounds
        self.waiting: int = 0
        self._bytes = 0
        self._host = host
        self._slots: list[Link | None] = [None] * bounds.size
        self._links: set[Link] = set()  # those that end too
        self._stillborn = 0
        self._deaths = 0  # of workers, since a call was answered
        self._calls = self._busy = self._died = self._recycled = 0
        self._died_at = 0
        self._died_of = ""

    def ask(self, key: str, ask: Ask, caller: Caller) -> bool:
        """Give a call to the worker of its key; False where too many wait."""
        bounds = self.bounds
        if self.waiting >= bounds.queue or self._bytes >= bounds.queue_bytes:
            self._busy += 1
            return False
        ask.number = self._host.number()
        at = crc32(key.encode()) % bounds.size if bounds.size > 1 else 0
        link = self._slots[at] or self._link(at)
        pending = Pending(ask, caller)
        link.ask(pending)
        self.waiting += 1
        self._bytes += pending.weight
        if link.asked >= bounds.calls:
            self._retire(link)
        return True

    def prepare(self) -> None:
        """Have one worker made before the first call."""
        self._link(0)

    def _link(self, at: int) -> Link:
        link = self._slots[at]
        if link is None:
            host = self._host
            link = self._slots[at] = Link(self, (host.number(), at), host.monotonic(), self.begin)
            self._links.add(link)
            host.fork(link, self._pause())
        return link

    def _pause(self) -> float:
        """Return the seconds until the next worker is made: more with each that dies before it answers."""
        over = self._deaths - FREE
        return min(LONGEST, SHORTEST * 2.0**over) if over >= 0 else 0.0

    def done(self, pending: Pending) -> None:
        """A worker has answered a call."""
        self._calls += 1
        self._stillborn = self._deaths = 0
        self._forget(pending)

    def _forget(self, pending: Pending) -> None:
        self.waiting -= 1
        self._bytes -= pending.weight

    def _fail(self, pending: Pending, link: Link) -> None:
        self._forget(pending)
        why = self._why(link)
        pending.caller.died(WorkerStopped(why) if link.over else WorkerDied(why))

    def over(self, now: int, thread: Callable[[int], tuple[int, str]]) -> None:
        """End the workers that have been at one call for longer than its limit; called each `LOOK`.

        One that waits for a processor, and has not had the limit's worth of it, is let go on until it has
        been at it for `PATIENCE`: a machine with too much to do is no call's fault. `thread` tells the CPU
        time of a process, ns, and its state.
        """
        limit = self.bounds.limit
        for link in self._links:
            number, since = int(link.marks[0]), int(link.marks[1])
            if not number or link.over or link.pid is None:
                continue
            if link.seen[0] != number:
                link.seen = (number, thread(link.pid)[0] - min(now - since, LOOK))
            if now - since <= limit:
                continue
            cpu, state = thread(link.pid)
            if state in _SLEEPS or cpu - link.seen[1] >= limit or now - since > max(limit, PATIENCE):
                link.over = number
                self._host.kill(link)

    def tick(self, now: int, resident: Callable[[int], int]) -> None:
        """Replace the workers that are old or large."""
        for link in self._slots:
            if link is None or link.pid is None:
                continue
            have = resident(link.pid)
            link.bytes = link.bytes or have
            if now - link.born_at > self.bounds.age or have - link.bytes > self.bounds.memory:
                self._retire(link)

    def _retire(self, link: Link) -> None:
        """Give a worker no new calls; it ends when it has answered those that it has."""
        if link.retiring:
            return
        link.retiring = True
        self._recycled += 1
        self._slots[link.at] = None
        self._link(link.at)
        if not link.pending:
            link.close()

    def turn(self, begin: Begin, bounds: Bounds) -> None:
        """Have the calls from now on worked on by workers of another version of the function."""
        self.leave()
        self.begin, self.bounds = begin, bounds
        self._slots = [None] * bounds.size
        self._stillborn = 0

    def leave(self) -> None:
        """Give the workers no new calls: each ends when it has answered those that it has."""
        slots, self._slots = self._slots, []
        for link in self._links:
            link.retiring = link.last = True
        for link in slots:
            if link is not None and not link.pending:
                link.close()

    # -- deaths

    def closed(self, link: Link) -> None:
        """Its socket has closed; why, the zygote says."""
        if link.status is not None or link.excused or (link.retiring and not link.pending):
            self.buried(link)

    def buried(self, link: Link) -> None:
        """Everything about a worker's end is known: fail the call that it worked on, begin others again."""
        if link not in self._links:
            return
        self._links.discard(link)
        if not link.last and self._slots[link.at] is link:
            self._slots[link.at] = None
        running = link.release()
        pending, link.pending = link.pending, {}
        if link.retiring and not pending:
            return
        innocent = link.excused or (link.over and running != link.over)  # it had just ended
        if not link.excused:
            self._count_death(link)
        culprit = None if innocent else pending.pop(running, None)
        if culprit is not None:
            self._fail(culprit, link)
        elif not innocent:
            self._stillborn += link.calls == 0
        again = self._begin_again(pending, link, known=bool(culprit is not None or innocent))
        if not link.last and (again or self._stillborn < STILLBORN):
            self._give(again, link.at)

    def _count_death(self, link: Link) -> None:
        self._died += 1
        self._deaths += 1
        self._died_at = self._host.wall()
        self._died_of = self._why(link)
        log.error("a worker died", function=self.name, pid=link.pid, why=self._died_of)

    def _begin_again(self, pending: dict[int, Pending], link: Link, *, known: bool) -> dict[int, Pending]:
        """Return the calls that another worker can begin again; the others are failed."""
        again: dict[int, Pending] = {}
        for number, one in pending.items():
            one.deaths += not known
            if link.last or one.commanded or one.deaths > 1 or self._stillborn >= STILLBORN:
                self._fail(one, link)
            else:
                again[number] = one
        return again

    def _give(self, pending: dict[int, Pending], at: int) -> None:
        """Give calls to the worker that comes after theirs."""
        link = self._link(at)
        for one in pending.values():
            link.ask(one)

    def _why(self, link: Link) -> str:
        if link.over:
            return (
                f"it took longer than its limit of {self.bounds.limit / 1e9:g} s, and its process was ended"
            )
        if link.text:
            return link.text
        if link.status is None:
            return "its process died"
        if link.status >= 0:
            return f"its process ended with exit code {link.status}"
        try:
            return f"its process was killed by {signal.Signals(-link.status).name}"
        except ValueError:
            return f"its process was killed by signal {-link.status}"

    def stats(self) -> WorkerStats:
        """Return its figures."""
        pids = [link.pid for link in self._links if link.pid is not None]
        return WorkerStats(
            sorted(pids), self.waiting, self._calls, self._busy, self._died, self._recycled, self._died_at,
            self._died_of,
        )  # fmt: skip

    @property
    def links(self) -> set[Link]:
        """Its workers, those that end too."""
        return self._links

    def close(self) -> None:
        """End all workers; calls that they have are lost."""
        links, self._links = self._links, set()  # no worker comes after these
        for link in links:
            link.excused = True
            link.pending = {}
            link.close()
            link.release()
