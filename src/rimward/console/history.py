"""The last minute of a node's snapshots: rates and percentiles of now, not since the start."""

from collections import Counter, deque
from collections.abc import Callable, Mapping

from msgspec import Struct

from rimward.observe import FunctionStats, Histogram, Snapshot

SPAN = 60_000_000_000  # ns that the percentiles and recent counts look back
RATE_SPAN = 5_000_000_000  # ns that a rate is averaged over


class FunctionFigures(Struct, frozen=True):
    """One function, as the console shows it."""

    name: str
    calls: int
    errors: int
    overruns: int
    rate: float | None  # calls a second
    budget: int | None  # ns
    p50: int | None  # ns from the read of the bytes to the answer ready, last minute; None: no call in it
    p99: int | None
    recent_errors: int
    recent_overruns: int


class History:
    """Snapshots of one run of a node; another run starts it anew."""

    def __init__(self) -> None:
        self._snapshots: deque[Snapshot] = deque()

    def add(self, snapshot: Snapshot) -> None:
        """Take a snapshot; the same one again changes nothing."""
        kept = self._snapshots
        if kept and (kept[-1].node, kept[-1].started_at) != (snapshot.node, snapshot.started_at):
            kept.clear()
        if kept and snapshot.at <= kept[-1].at:
            return
        kept.append(snapshot)
        while len(kept) > 2 and kept[1].at <= snapshot.at - SPAN:
            kept.popleft()

    def rate(self, counter: str) -> float | None:
        """Return how much a counter of the node grew a second; None before there are two snapshots."""
        return self._per_second(lambda snapshot: snapshot.counters.get(counter, 0))

    def functions(self) -> list[FunctionFigures]:
        """Return every function's figures, busiest first."""
        if not self._snapshots:
            return []
        newest, oldest = self._snapshots[-1], self._snapshots[0]
        figures = [
            self._function(name, stats, None if newest is oldest else oldest.functions.get(name))
            for name, stats in newest.functions.items()
        ]
        return sorted(figures, key=lambda figure: (-figure.calls, figure.name))

    def _function(self, name: str, new: FunctionStats, old: FunctionStats | None) -> FunctionFigures:
        spent = _recent(new.stages.get("total", {}), {} if old is None else old.stages.get("total", {}))
        return FunctionFigures(
            name=name,
            calls=new.calls,
            errors=new.errors,
            overruns=new.overruns,
            rate=self._per_second(lambda snapshot: _calls(snapshot, name)),
            budget=None if new.budget is None else round(new.budget * 1e9),
            p50=spent.percentile(50) if spent else None,
            p99=spent.percentile(99) if spent else None,
            recent_errors=new.errors - (old.errors if old else 0),
            recent_overruns=new.overruns - (old.overruns if old else 0),
        )

    def _per_second(self, read: Callable[[Snapshot], int]) -> float | None:
        newest = self._snapshots[-1] if self._snapshots else None
        if newest is None:
            return None
        inside = [one for one in self._snapshots if one.at >= newest.at - RATE_SPAN]
        oldest = inside[0]
        return None if oldest is newest else (read(newest) - read(oldest)) / ((newest.at - oldest.at) / 1e9)


def _calls(snapshot: Snapshot, name: str) -> int:
    return snapshot.functions[name].calls if name in snapshot.functions else 0


def _recent(new: Mapping[int, int], old: Mapping[int, int]) -> Histogram | None:
    """Return what was recorded between two states of a histogram; None when nothing was."""
    grown = Counter(new)
    grown.subtract(old)
    kept = {bucket: n for bucket, n in grown.items() if n > 0}
    return Histogram.from_sparse(kept) if kept else None
