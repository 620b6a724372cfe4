"""Which events are kept whole, and the stages that they went through.

Kept: errors, events over their budget, one a second of each function, and one in a thousand of the rest.
`Figures.record` tells which of the ordinary ones.
"""

from collections.abc import Callable
from typing import Protocol

from rimward.edge.dispatch.work import Work
from rimward.events import TraceIds, parse_traceparent
from rimward.observe import RowRef, Stage, Trace


class TraceSink(Protocol):
    """Where kept traces go; it never blocks."""

    def keep(self, trace: Trace) -> None:
        """Take a trace."""
        ...


class Tracing:
    """Decides what is kept and writes it down."""

    def __init__(self, node: str, boot: bytes, sink: TraceSink, epoch: Callable[[], str]) -> None:
        self.node = node
        self.boot = boot.hex()
        self._ids = TraceIds(boot)
        self._sink = sink
        self._epoch = epoch

    def note(self, work: Work, function: str, begun: int, ended: int, *, over: bool) -> None:
        """Remember a call's stages; the trace is kept when its message has ended."""
        wall = work.desk.wall_of
        if work.stages is None:
            work.stages = [Stage("decode", wall(work.read_at), wall(begun))]
        work.stages.append(Stage(f"function {function}", wall(begun), wall(ended)))
        if over and work.error is None:
            work.error = f"{function} was over its budget"

    def committed(self, work: Work, appended: int, now: int) -> None:
        """Remember the commit's wait."""
        if work.figures is not None:
            work.figures.commit.record(now - appended)
        if work.stages is not None:
            wall = work.desk.wall_of
            work.stages.append(Stage("commit", wall(appended), wall(now)))

    def keep(self, work: Work) -> None:
        """Hand a noted event over as a trace."""
        assert work.stages is not None
        parsed = parse_traceparent(work.traceparent) if work.traceparent else None
        epoch = self._epoch()
        rows = [RowRef(row.fact, epoch, row.seq) for row in work.tx.forwards] if work.durable else []
        over = work.error is not None and work.error.endswith("over its budget")
        self._sink.keep(
            Trace(
                id=parsed[0] if parsed else self._ids.next(),
                node=self.node,
                function=work.stages[1].name.removeprefix("function ") if len(work.stages) > 1 else "",
                source=work.source,
                sender=work.sender.id,
                at=work.desk.wall_of(work.read_at),
                stages=work.stages,
                rows=rows,
                actions=work.actions,
                error=None if over else work.error,
                over_budget=over,
            )
        )
