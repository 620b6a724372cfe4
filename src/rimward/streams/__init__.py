"""Operators on streams of events, without I/O and without a clock: the driver hands in every time."""

from rimward.streams.accumulators import Aggregate, WindowFull
from rimward.streams.folds import AggFold, ApplyFold, Cell, Fold
from rimward.streams.tumbling import Closed, Tumbling
from rimward.streams.watermark import Watermark

__all__ = [
    "AggFold",
    "Aggregate",
    "ApplyFold",
    "Cell",
    "Closed",
    "Fold",
    "Tumbling",
    "Watermark",
    "WindowFull",
]
