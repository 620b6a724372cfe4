"""The aggregates by their names: pandas' where it has them.

`p1` to `p999` (the 99.9th) are percentiles within one percent, by a sketch; `rate` is values a second of the
window; `time_weighted_mean` weighs a value by how long it held. `median` is exact and keeps all values.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from rimward.streams.accumulators import Count, Ends, Extremes, Spread, Sum
from rimward.streams.collecting import Distinct, Sorted, TimeWeighted
from rimward.streams.sketch import Sketch

Aggregate = Literal[
    "count", "sum", "mean", "min", "max", "first", "last", "std", "var", "median", "nunique",
    "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999", "rate", "time_weighted_mean",
]  # fmt: skip

_SHARES = {
    "p1": 0.01, "p5": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95,
    "p99": 0.99, "p999": 0.999,
}  # fmt: skip

Give = Callable[[Any, int, int], Any]  # of an accumulator and its window's bounds, ns, the result


def _plain(read: Callable[[Any], Any]) -> Give:
    def give(cell: Any, start: int, end: int) -> Any:
        del start, end
        return read(cell)

    return give


def _weighted(cell: TimeWeighted, start: int, end: int) -> float:
    del start
    return cell.mean(end)


def _rate(cell: Count, start: int, end: int) -> float:
    return cell.count * 1e9 / (end - start) if end > start else float("nan")


def _quantile(share: float, cell: Sketch, start: int, end: int) -> float:
    del start, end
    return cell.quantile(share)


# name: (accumulator, how it gives the result)
AGGREGATES: dict[str, tuple[type[Any], Give]] = {
    "count": (Count, _plain(lambda cell: cell.count)),
    "sum": (Sum, _plain(Sum.sum)),
    "mean": (Sum, _plain(Sum.mean)),
    "min": (Extremes, _plain(lambda cell: cell.smallest)),
    "max": (Extremes, _plain(lambda cell: cell.largest)),
    "first": (Ends, _plain(lambda cell: cell.first)),
    "last": (Ends, _plain(lambda cell: cell.last)),
    "std": (Spread, _plain(Spread.std)),
    "var": (Spread, _plain(Spread.var)),
    "median": (Sorted, _plain(Sorted.median)),
    "nunique": (Distinct, _plain(Distinct.nunique)),
    **{name: (Sketch, partial(_quantile, share)) for name, share in _SHARES.items()},
    "rate": (Count, _rate),
    "time_weighted_mean": (TimeWeighted, _weighted),
}
