"""The end of a message: what is durable is committed, and the answer goes out when the disk has it."""

from collections.abc import Callable

from rimward.edge.dispatch.ports import OutboxPort
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Ticket
from rimward.edge.dispatch.watching import Watching
from rimward.edge.dispatch.work import Work
from rimward.edge.outbox import Put
from rimward.events import RimwardError


class Closing:
    """Ends works: one transaction and one answer each."""

    def __init__(
        self,
        outbox: OutboxPort,
        tracing: Tracing,
        counters: dict[str, int],
        clock: Callable[[], int],
        watching: Watching,
    ) -> None:
        """`clock` is monotonic ns."""
        self._watching = watching
        self._outbox = outbox
        self._tracing = tracing
        self._counters = counters
        self._clock = clock

    def end(self, work: Work) -> Ticket | None:
        """Commit what is durable and answer when it is; None if there is nothing to wait for or to say."""
        waits = not work.detached
        for settle in work.ends:
            settle()
        if work.comes_again:
            work.undo()  # what other functions did: they will do it again
        elif work.commits is not None:
            entries = work.commits(work.reply, work.refusal)
            if entries:
                work.tx.puts += [Put(*entry) for entry in entries]
                waits = True
        if work.durable and not waits:
            self._append(work, None)
            self._tell(work)
        elif work.durable:
            ticket = work.ticket = work.ticket or Ticket()
            appended = self._clock()
            if not self._append(work, lambda error: self._committed(work, appended, error)):
                self._answer(work)
            return ticket
        self._tell(work)
        if work.stages is not None:
            self._tracing.keep(work)
        if work.refusal is None and work.reply is None:
            return None
        ticket = work.ticket = work.ticket or Ticket()
        self._answer(work)
        return ticket

    def _append(self, work: Work, done: Callable[[RimwardError | None], None] | None) -> bool:
        """Hand a transaction over; False where it is refused, with all that it holds."""
        work.seal()
        try:
            self._outbox.append(work.tx, done)
        except RimwardError as error:
            self._counters["commits_refused"] = self._counters.get("commits_refused", 0) + 1
            work.undo()
            work.withhold(str(error))
            return False
        return True

    def _committed(self, work: Work, appended: int, error: RimwardError | None) -> None:
        if error is not None:
            work.withhold(str(error))
        else:
            self._tracing.committed(work, appended, self._clock())
            self._tell(work)
        if work.stages is not None:
            self._tracing.keep(work)
        self._answer(work)

    def _tell(self, work: Work) -> None:
        """Tell those who watch what it has changed."""
        if work.changed:
            self._watching.tell(work.changed)

    def _answer(self, work: Work) -> None:
        ticket = work.ticket
        assert ticket is not None
        if work.refusal is None:
            ticket.reply = work.reply
        ticket.finish(work.refusal)
