"""The steps of a stream as declared: plain data that says what is wanted; the node makes operators of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")

Aggregate = Literal[
    "count", "sum", "mean", "min", "max", "first", "last", "std", "var", "median", "nunique",
    "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999", "rate", "time_weighted_mean",
]  # fmt: skip

Rings: TypeAlias = tuple[tuple[tuple[float, float], ...], ...]  # of a polygon: corners as (x, y)


class Fence(Struct, frozen=True):
    """What a key did at a geofence, and when."""

    name: str
    what: Literal["enter", "exit", "dwell"]
    at: datetime


class Scored(Struct, Generic[T], frozen=True):
    """A value with how unlike it is what came before, in standard deviations: above 3 is rare."""

    value: T
    score: float


class Filter(Struct, frozen=True):
    """Keep what the test accepts."""

    test: Callable[[Any], bool]


class Map(Struct, frozen=True):
    """Change each value."""

    change: Callable[[Any], Any]


class FlatMap(Struct, frozen=True):
    """Put each item of what is returned in the value's place."""

    open: Callable[[Any], Iterable[Any]]


class Enrich(Struct, frozen=True):
    """Combine each value with the row that it names."""

    table: Mapping[str, Any] | type[Struct]  # or a state's type
    on: str
    combine: Callable[[Any, Any], Any]


class Deadband(Struct, frozen=True):
    """Keep numbers that are far enough from the last one kept."""

    of: str | None  # None is the value itself
    width: float


class Change(Struct, frozen=True):
    """Keep what differs from the one before."""

    of: tuple[str, ...]


class Debounce(Struct, frozen=True):
    """Keep what no other follows for a while."""

    quiet: int  # ns


class Throttle(Struct, frozen=True):
    """Keep one a period."""

    period: int  # ns


class Sample(Struct, frozen=True):
    """Keep the last one of each stretch of time."""

    period: int  # ns
    lateness: int


class Dedupe(Struct, frozen=True):
    """Keep the first of each value."""

    of: tuple[str, ...]
    within: int  # ns


class Ordered(Struct, frozen=True):
    """Bring values into the order of their times."""

    lateness: int  # ns


class Ewma(Struct, frozen=True):
    """Score by the exponentially weighted mean and variance."""

    of: str | None
    alpha: float
    warm: int


class Hampel(Struct, frozen=True):
    """Score by the median and the median distance from it."""

    of: str | None
    size: int


class Geofence(Struct, frozen=True):
    """Tell where positions enter, leave and stay."""

    polygons: Mapping[str, Rings]
    x: str
    y: str
    dwell: int | None  # ns


class Window(Struct, frozen=True):
    """Fold windows into one value each."""

    kind: Literal["tumbling", "sliding", "session", "count"]
    size: int  # ns; of a session its gap; of `count` a number
    step: int  # ns or a number: between the beginnings of two windows
    lateness: int  # ns that an event may come after a later one
    result: type[Struct] | None  # what `agg` builds
    fields: tuple[tuple[str, str, str], ...]  # (field of the result, field of the value, aggregate)
    apply: Callable[[Sequence[Any]], Any] | None


class Meet(Struct, frozen=True):
    """Bring two streams together."""

    kind: Literal["join", "asof", "followed_by", "not_followed_by"]
    left: Any  # a Stream
    right: Any
    within: int | None  # ns
    lateness: int
    combine: Callable[[Any, Any], Any] | None


Step = (
    Filter | Map | FlatMap | Enrich | Deadband | Change | Debounce | Throttle | Sample | Dedupe | Ordered
    | Ewma | Hampel | Geofence | Window | Meet
)  # fmt: skip
