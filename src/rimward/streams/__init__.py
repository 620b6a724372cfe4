"""Operators on streams of events, without I/O and without a clock: the driver hands in every time."""

from rimward.streams.accumulators import WindowFull
from rimward.streams.aggregates import Aggregate
from rimward.streams.chain import Chain, Joined, Line, Pair, run
from rimward.streams.counting import Counting
from rimward.streams.fences import Fences
from rimward.streams.folds import AggFold, ApplyFold, Cell, Fold, LastFold
from rimward.streams.items import Aside, Item, Operator
from rimward.streams.joins import AsOf, Near
from rimward.streams.polygons import Polygon, Polygons
from rimward.streams.sequences import Followed, NotFollowed
from rimward.streams.sessions import Sessions
from rimward.streams.sliding import Sliding
from rimward.streams.tumbling import Tumbling
from rimward.streams.values import PLAIN, Codec, getter
from rimward.streams.watermark import Watermark
from rimward.streams.window import Closed, Windows
from rimward.streams.windowing import Windowed

__all__ = [
    "PLAIN",
    "AggFold",
    "Aggregate",
    "ApplyFold",
    "AsOf",
    "Aside",
    "Cell",
    "Chain",
    "Closed",
    "Codec",
    "Counting",
    "Fences",
    "Fold",
    "Followed",
    "Item",
    "Joined",
    "LastFold",
    "Line",
    "Near",
    "NotFollowed",
    "Operator",
    "Pair",
    "Polygon",
    "Polygons",
    "Sessions",
    "Sliding",
    "Tumbling",
    "Watermark",
    "WindowFull",
    "Windowed",
    "Windows",
    "getter",
    "run",
]
