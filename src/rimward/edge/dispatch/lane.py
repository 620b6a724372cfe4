"""The end of a call on the fast lane that leaves more than actions: facts, a reply, a trace or an error."""

from collections.abc import Callable
from typing import Any, Protocol

from rimward.edge.dispatch.call import LaneCall, forward_of
from rimward.edge.dispatch.functions import Bound, Plain
from rimward.edge.dispatch.ports import Clocks, Conduct, OutboxPort
from rimward.edge.dispatch.releasing import take_reply
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Refusal, Reply, Ticket
from rimward.edge.dispatch.work import Work
from rimward.edge.outbox import Forward
from rimward.events import RimwardError
from rimward.observe import Histogram

Outcome = tuple[Any, BaseException | None, int]  # of a call: its result, what it raised, how many actions


class Host(Protocol):
    """What the end of a call asks of the dispatcher."""

    tracing: Tracing
    counters: dict[str, int]
    lane_call: LaneCall
    conduct: Conduct
    outbox: OutboxPort
    clocks: Clocks

    def event_id(self) -> str:
        """Return an id that no other event has."""
        ...

    def wall_of(self, monotonic: int) -> int:
        """Return the wall clock at a monotonic time, ns."""
        ...

    def failing(self, bound: Bound, work: Work, error: BaseException, times: tuple[int, int]) -> None:
        """Do with an event what is to be done when its call raised."""
        ...

    def end(self, work: Work, /) -> Ticket | None:
        """Commit and answer."""
        ...


class Receipt(Ticket):
    """The promise of an answer to a message of which rows are all that is left."""

    __slots__ = ("_appended", "_clock", "_commits")

    def __init__(self, clock: Callable[[], int], commits: Histogram, appended: int) -> None:
        """`commits` counts how long the disk took since `appended`, monotonic ns."""
        self.done: bool = False
        self.matched: bool = True
        self.refusal: Refusal | None = None
        self.reply: Reply | None = None
        self.on_done: Callable[[Ticket], None] | None = None
        self._clock = clock
        self._commits = commits
        self._appended = appended

    def landed(self, error: RimwardError | None) -> None:
        """Answer: the disk has the rows, or refused them."""
        if error is None:
            self._commits.record(self._clock() - self._appended)
        else:
            self.refusal = Refusal("full", str(error))
        self.done = True
        if self.on_done is not None:
            self.on_done(self)


def land(host: Host, plain: Plain, read_at: int, ended: int) -> Receipt | None:
    """Commit the rows of a call that left nothing else, and is neither traced nor waited for by others.

    None: the outbox takes nothing, which the longer way tells in full; the call still has its rows.
    """
    rows, event, received = host.lane_call.rows, host.event_id(), host.wall_of(read_at)
    assert rows is not None
    forwards: list[Forward] = []
    for fact, values in rows:
        spec = fact.spec
        forwards.append(
            Forward(
                spec.table, spec.fingerprint, spec.priority, received, event, None, None, False, values,
                spec.keeping, read_at,
            )
        )  # fmt: skip
    receipt = Receipt(host.clocks.monotonic, plain.figures.commit, ended)
    try:
        host.outbox.forward(forwards, receipt.landed)
    except RimwardError:
        return None
    host.lane_call.rows = None
    host.counters["forwards"] += len(forwards)
    return receipt


def end_plain(
    host: Host, plain: Plain, work: Work, outcome: Outcome, times: tuple[int, int]
) -> Ticket | None:
    """End it; `times` are when it began and ended, monotonic ns."""
    result, error, actions = outcome
    rows, run = host.lane_call.end(), plain.bound.run
    if error is not None:
        host.failing(plain.bound, work, error, times)
        return host.end(work)
    figures = work.figures = plain.figures
    if figures.keeps(work.read_at, times[1]):
        host.tracing.note(work, run.name, *times, over=times[1] - work.read_at > figures.limit)
    if times[1] - times[0] > figures.limit:
        host.conduct.overran(run.name)
    if rows:
        origin = work.origin()
        work.tx.forwards += [forward_of(fact, values, origin) for fact, values in rows]
        host.counters["forwards"] += len(rows)
    work.actions = actions
    try:
        take_reply(host.counters, work, result)
    except Exception as raised:  # noqa: BLE001 (a value that can't be written)
        host.failing(plain.bound, work, raised, times)
    return host.end(work)
