"""What an event does that comes while the function still works on another: mode= of async functions.

The words are those of home automation: "queued" waits for its turn, "single" is left out, "restart" takes
the place of the one that runs, "parallel" runs beside it. A lane is a function with the values of its
captures: what happens in one room holds up no other.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Struct, field

from rimward.edge.dispatch.functions import Bound
from rimward.edge.dispatch.types import Refusal, Ticket
from rimward.edge.dispatch.work import Work

Key = tuple[str, tuple[str, ...]]
Begin = Callable[[], Ticket | None]


class Replaced(Exception):
    """A newer event has taken the place of the one that a call worked on."""


class _Lane(Struct):
    running: int = 0
    cancels: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    waiting: deque[tuple[Begin, Ticket]] = field(default_factory=deque[tuple[Begin, Ticket]])


class Modes:
    """The lanes in which something runs."""

    def __init__(self, counters: dict[str, int]) -> None:
        self._counters = counters
        self._lanes: dict[Key, _Lane] = {}

    def wait(self, bounds: list[tuple[Bound, str | None]], work: Work, begin: Begin) -> Ticket | None:
        """Have a message wait for its turn, or refuse it; None: it may begin now."""
        for bound, _ in bounds:
            lane = self._lanes.get(_key(bound))
            if lane is not None and lane.running and bound.run.function.mode in {"queued", "restart"}:
                ticket = work.ticket = work.ticket or Ticket()
                if bound.run.function.mode == "queued":
                    self._queue(lane, bound, begin, ticket)
                else:
                    self._restart(lane, bound, begin, ticket)
                return ticket
        return None

    def leaves_out(self, bound: Bound, work: Work) -> bool:
        """Refuse an event that may not run beside another; tell whether it is one."""
        function = bound.run.function
        lane = self._lanes.get(_key(bound))
        if lane is None or function.mode not in {"single", "parallel"}:
            return False
        if function.mode == "single" and lane.running:
            self._count("skipped")
            work.refuse("running", f'{function.name} still runs, and its mode is "single"')
            return True
        if function.mode == "parallel" and lane.running >= function.max:
            self._count("mode_full")
            work.refuse("busy", f"{function.name} runs {lane.running} times, its limit")
            return True
        return False

    def began(self, bound: Bound, cancel: Callable[[], None]) -> None:
        """A call goes on beyond the turn in which it came; `cancel` ends it before its time."""
        if bound.run.function.mode is not None:
            lane = self._lanes.setdefault(_key(bound), _Lane())
            lane.running += 1
            lane.cancels.append(cancel)

    def ended(self, bound: Bound, cancel: Callable[[], None]) -> None:
        """It has ended: who waits for that may begin."""
        if bound.run.function.mode is None:
            return
        key = _key(bound)
        lane = self._lanes[key]
        lane.running -= 1
        lane.cancels.remove(cancel)
        while lane.waiting and not lane.running:
            begin, ticket = lane.waiting.popleft()
            if begin() is None and not ticket.done:
                ticket.finish()
        if not lane.running:
            del self._lanes[key]

    def _queue(self, lane: _Lane, bound: Bound, begin: Begin, ticket: Ticket) -> None:
        function = bound.run.function
        if lane.running + len(lane.waiting) >= function.max:
            self._count("mode_full")
            ticket.finish(Refusal("busy", f"{function.max} events of {function.name} run or wait, its limit"))
        else:
            lane.waiting.append((begin, ticket))

    def _restart(self, lane: _Lane, bound: Bound, begin: Begin, ticket: Ticket) -> None:
        while lane.waiting:
            _, older = lane.waiting.popleft()
            self._count("replaced")
            older.finish(Refusal("replaced", f"a newer event of {bound.run.name} came"))
        lane.waiting.append((begin, ticket))
        for cancel in lane.cancels:
            cancel()

    def _count(self, what: str) -> None:
        self._counters[what] = self._counters.get(what, 0) + 1


def _key(bound: Bound) -> Key:
    return bound.run.name, bound.captures
