"""Plain functions of one topic that run in a worker: a call is no more than the promise of its answer.

As on the fast lane, what leaves actions alone, or nothing, ends here. All else is handed to the longer way
when the call has ended: facts, a value that was returned, a failure, a call that is traced.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rimward.edge.dispatch.away import Away, FarCall, Readings, action_of
from rimward.edge.dispatch.functions import SAMPLE_ONE_IN, Far
from rimward.edge.dispatch.types import Message, Refusal, Reply, Ticket
from rimward.edge.dispatch.work import Work
from rimward.wire.functions import Ask, Command, Ended, Left, Look, Seen, Told

if TYPE_CHECKING:
    from rimward.edge.dispatch.functions import Span


class FarTicket(Ticket):
    """The promise of an answer to a message whose one call runs elsewhere: a `wire.functions.Caller`."""

    __slots__ = ("_away", "_declared", "_far", "_message", "_number", "_readings")

    def __init__(self, away: Away, far: Far, message: Message) -> None:
        self.done: bool = False
        self.matched: bool = True
        self.refusal: Refusal | None = None
        self.reply: Reply | None = None
        self.on_done: Callable[[Ticket], None] | None = None
        self._away = away
        self._declared = away.declared
        self._far = far
        self._message = message
        self._readings: Readings | None = None
        far.figures.alone += 1
        self._number = far.figures.alone

    def ended(self, ended: Ended) -> None:
        """End it here if there is little to be done."""
        away, figures, read_at = self._away, self._far.figures, self._message.read_at
        if self not in away.running:
            return
        now = away.clock()
        if (
            now >= figures.sample_at
            or now - read_at > figures.limit
            or not self._number % SAMPLE_ONE_IN
            or ended.failure is not None
            or ended.answer is not None
            or not (ended.left is None or self._acts(ended.left))
        ):
            self._whole().ended(ended)
            away.over(self)
            return
        span: Span = (self._far.name, read_at, now - ended.own, now)
        figures.take(span)
        away.host.tracing.ring.add(span)
        away.over(self)
        self.finish()

    def _acts(self, left: Left) -> bool:
        """Release what a call leaves, if that is actions alone and nothing is wrong with them."""
        if left.rows or left.states or left.timers or left.events:
            return False
        try:
            actions = [action_of(action, None) for action in left.actions]
        except ValueError:
            return False
        host = self._away.host
        host.router.publish_all(actions)
        host.actions += len(actions)
        return True

    def died(self, error: Exception) -> None:
        """Tell that its worker died: it has left nothing."""
        if self in self._away.running:
            self._whole().died(error)
            self._away.over(self)

    def look(self, look: Look) -> Seen:
        """Return committed values."""
        if self._readings is None:
            self._readings = {}
        return self._declared.look(look, self._readings)

    def command(self, command: Command, tell: Callable[[Told], None]) -> None:
        """Refuse: a plain function does not wait for devices."""
        tell(Told(command.command, error="error", detail="device.command is awaited: write async def"))

    def _whole(self) -> FarCall:
        """Go on as a call that has a work of its own."""
        away, far = self._away, self._far
        work: Work = away.host.work_of(self._message)
        work.figures, work.ticket, work.pending = far.figures, self, 1
        call = FarCall(away, far.bound, None, work, self._declared)
        away.running.add(call)
        return call


def send(away: Away, far: Far, message: Message) -> Ticket | None:
    """Send a message's call to its worker; None where the longer way is to be taken, which tells why."""
    if far.bound.run.killers:
        return None
    if far.decode is not None:
        try:
            far.decode(message.payload)
        except Exception:  # noqa: BLE001 (told in full by the longer way)
            return None
    payload = None if far.decode is None else message.payload
    ask = Ask(0, payload, "json", far.arguments, [], away.host.wall_of(0), "json")
    ticket = FarTicket(away, far, message)
    if away.workers.ask(far.name, far.key or message.sender.id, ask, ticket):
        away.running.add(ticket)
    else:
        ticket.finish(Refusal("busy", f"too many calls of {far.name} wait"))
    return ticket
