"""The end of a call on the fast lane that leaves more than actions: facts, a reply, a trace or an error."""

from typing import Any, Protocol

from rimward.edge.dispatch.call import LaneCall, forward_of
from rimward.edge.dispatch.functions import Bound, Plain
from rimward.edge.dispatch.ports import Conduct
from rimward.edge.dispatch.releasing import take_reply
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Ticket
from rimward.edge.dispatch.work import Work

Outcome = tuple[Any, BaseException | None, int]  # of a call: its result, what it raised, how many actions


class Host(Protocol):
    """What the end of a call asks of the dispatcher."""

    tracing: Tracing
    counters: dict[str, int]
    lane_call: LaneCall
    conduct: Conduct

    def failing(self, bound: Bound, work: Work, error: BaseException, times: tuple[int, int]) -> None:
        """Do with an event what is to be done when its call raised."""
        ...

    def end(self, work: Work, /) -> Ticket | None:
        """Commit and answer."""
        ...


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
