"""Which events are kept whole, and the stages that they went through.

Kept: errors, events over their budget, one a second of each function, and one in a thousand of the rest.
`Figures.record` tells which of the ordinary ones. The spans of all events, kept or not, go through a ring:
what ran while a kept event waited for its turn is read from there.
"""

from collections.abc import Callable
from typing import Protocol

from rimward.edge.dispatch.work import Work
from rimward.events import TraceIds, parse_traceparent
from rimward.observe import Ring, RowRef, Stage, Trace

SPANS = 1024  # of the newest calls, whatever became of them
BEHIND = 200_000  # ns that an event must have waited for its turn before it is asked what for


class TraceSink(Protocol):
    """Where kept traces go; it never blocks."""

    def keep(self, trace: Trace) -> None:
        """Take a trace."""
        ...


class Tracing:
    """Decides what is kept and writes it down."""

    def __init__(self, node: str, boot: bytes, sink: TraceSink, epoch: Callable[[], str]) -> None:
        self.node = node
        self.boot: str = boot.hex()
        self._ids = TraceIds(boot)
        self.ring: Ring = Ring(SPANS)  # (function, read_at, begun, ended), monotonic ns
        self._sink = sink
        self._epoch = epoch

    def note(self, work: Work, function: str, begun: int, ended: int, *, over: bool) -> None:
        """Remember a call's stages; the trace is kept when its message has ended."""
        wall = work.desk.wall_of
        if work.stages is None:
            work.stages = [Stage("decode", wall(work.read_at), wall(begun))]
            if begun - work.read_at > BEHIND:
                work.stages += self._behind(work, begun)
        work.stages.append(Stage(f"function {function}", wall(begun), wall(ended)))
        if over and work.error is None:
            work.error = f"{function} was over its budget"

    def _behind(self, work: Work, begun: int) -> list[Stage]:
        """Return what ran between the read of an event's bytes and its own function, a stage a function."""
        spans: dict[str, tuple[int, int, int]] = {}  # calls, first begun, last ended
        for function, _, started, ended in self.ring.recent(SPANS):
            if ended <= work.read_at:
                break
            if started < begun:
                calls, first, last = spans.get(function, (0, started, ended))
                spans[function] = (calls + 1, min(first, started), max(last, ended))
        wall = work.desk.wall_of
        return [
            Stage(f"behind {calls} of {function}", wall(first), wall(last))
            for function, (calls, first, last) in spans.items()
        ]

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
                function=_function(work.stages),
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


def _function(stages: list[Stage]) -> str:
    """Return the first function among stages."""
    names = (stage.name for stage in stages if stage.name.startswith("function "))
    return next(names, "").removeprefix("function ")
