"""What becomes of an event that fails: refused, put into the dead letters, counted, traced."""

from typing import Any

from rimward.edge.dispatch.board import Allowed
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.modes import Replaced
from rimward.edge.dispatch.payloads import BadPayloadError
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Refusal, Reply, Ticket
from rimward.edge.dispatch.work import Work
from rimward.edge.stopping import Stopped
from rimward.events import (
    REFUSALS,
    OutboxBroken,
    OutboxFull,
    Reject,
    StatesFull,
    TimersFull,
    WorkerDied,
    WorkerStopped,
)
from rimward.events.raised import place_of
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.dispatch")


class FarError(Exception):
    """What a function raised in another process."""

    def __init__(self, name: str, text: str, place: str) -> None:
        """`name` is that of its type, `place` is where it was raised."""
        super().__init__(text)
        self.name = name
        self.place = place


def bad_payload(tracing: Tracing, run: FunctionRun, work: Work, error: BadPayloadError, now: int) -> None:
    """Refuse and bury a payload that does not fit."""
    run.figures.failed()
    work.error = "payload"
    work.refuse(error.kind, str(error))
    work.bury(error.kind, str(error), run.name)
    tracing.note(work, run.name, now, now, over=False)


def failed(
    tracing: Tracing, run: FunctionRun, work: Work, error: BaseException, times: tuple[int, int]
) -> None:
    run.figures.failed()
    if isinstance(error, Reject):
        work.error = f"rejected: {error.kind}"
        work.refuse(error.kind, error.detail)
        if work.protocol == "mqtt3" and not REFUSALS[error.kind].later:
            work.bury("rejected", str(error), run.name)  # 3.1.1 has no words for it: acknowledged, kept
    elif isinstance(error, OutboxFull | OutboxBroken | TimersFull | StatesFull):
        work.error = error.code
        work.undo()
        work.withhold(str(error))
    elif isinstance(error, Replaced):
        work.error = "replaced"
        work.refuse("replaced", str(error))
    elif isinstance(error, WorkerStopped):
        work.error = str(error)
        work.refuse("timeout", f"{run.name}: {error}")
        work.bury("timeout", str(error), run.name)
    elif isinstance(error, WorkerDied):
        work.error = str(error)
        work.refuse("failed", f"the process of {run.name} died")
        work.bury("worker-died", str(error), run.name)
    elif isinstance(error, Stopped):
        took = (times[1] - times[0]) / 1e9
        work.error = str(error)
        work.refuse("timeout", f"{run.name} was stopped after {took:.3g} s")
        work.bury("timeout", f"{error} after {took:.3g} s", run.name)
        log.warning("a function was stopped", function=run.name, at=error.place, seconds=round(took, 3))
    else:
        name, place = type(error).__name__, place_of(error)
        if isinstance(error, FarError):
            name, place = error.name, error.place
        work.error = f"{name} at {place}"
        work.refuse("failed", f"{run.name} raised {name}")
        work.bury("failed", f"{name}: {error} at {place}", run.name)
        log.warning("a function raised", function=run.name, error=name, at=place)
    tracing.note(work, run.name, *times, over=False)


def refused(kind: str, detail: str, *, matched: bool = True) -> Ticket:
    """Return a ticket that is done: refused."""
    ticket = Ticket(matched=matched)
    ticket.finish(Refusal(kind, detail))
    return ticket


def replied(reply: Reply) -> Ticket:
    """Return a ticket that is done: answered."""
    ticket = Ticket()
    ticket.reply = reply
    ticket.finish()
    return ticket


def no_route(allowed: Allowed) -> Ticket:
    """Return the answer to a path that nothing serves, or not with that method."""
    if not allowed.methods and allowed.socket:
        return replied(Reply(status=426))
    if not allowed.methods:
        return refused("not-found", "no function serves this path", matched=False)
    return replied(Reply(status=405, headers={"allow": ", ".join(allowed.methods)}))


def check_time(payload: Any, field: str) -> None:
    """Refuse an event's own time that names no zone."""
    moment = getattr(payload, field, None)
    if getattr(moment, "tzinfo", None) is None:
        raise BadPayloadError(f"{field} is {moment!r}, it must be a time with its zone - at `$.{field}`")
