"""Streams: a declaration that runs once at load and says how events become windows and facts.

Nothing is computed here: the node turns the steps into operators of `rimward.streams`.
"""

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct

from rimward.app.geometry import MAX_FENCES, Shape, rings_of
from rimward.app.problems import Problem, name_of
from rimward.app.steps import (
    Aggregate,
    Change,
    Deadband,
    Debounce,
    Dedupe,
    Enrich,
    Ewma,
    Fence,
    Filter,
    FlatMap,
    Geofence,
    Hampel,
    Map,
    Meet,
    Ordered,
    Rings,
    Sample,
    Scored,
    Step,
    Throttle,
)
from rimward.app.windows import Windows, ns, whole
from rimward.events import Duration

__all__ = ["Aggregate", "Fence", "Scored", "Stream", "Windows", "stream_argument"]

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")
R = TypeVar("R")
MAX_HAMPEL = 1_000  # values that a Hampel score compares with


class Stream(Generic[T]):
    """A sequence of values per key, as declared so far; every method returns a longer declaration."""

    def __init__(
        self,
        steps: tuple[Step, ...] = (),
        keys: tuple[str, ...] = (),
        *,
        forwards: bool = False,
        source: int = 0,
        forget: int | None = None,
    ) -> None:
        self.steps = steps
        self.keys = keys
        self.forwards = forwards
        self.source = source  # which of the stream's triggers it begins with
        self.forget = forget  # ns of silence after which a key's state goes

    def key_by(self, *keys: str, forget: Duration = "7d") -> "Stream[T]":
        """Keep windows per key: names of captures or of the payload's fields.

        A key that has been silent for `forget` is forgotten, with all that is known of it.
        """
        if not keys:
            raise Problem("key_by names no key", 'write .key_by("truck")')
        if self.keys:
            raise Problem(f"key_by{keys} comes after key_by{self.keys}", "name all keys in one key_by")
        return Stream(self.steps, keys, forwards=self.forwards, source=self.source,
                      forget=ns(forget, "key_by: forget", 'forget="7d"'))  # fmt: skip

    # -- one value at a time

    def filter(self, test: Callable[[T], bool]) -> "Stream[T]":
        """Keep the values that the test accepts."""
        return self._with(Filter(test))

    def map(self, change: Callable[[T], U]) -> "Stream[U]":
        """Change each value."""
        return self._with(Map(change))

    def flat_map(self, open: Callable[[T], Iterable[U]]) -> "Stream[U]":  # noqa: A002 (what it does)
        """Open batches: each item goes on by itself, with its own time where it has the time's field."""
        return self._with(FlatMap(open))

    def enrich(
        self, table: Mapping[str, R] | type[R], on: str, combine: Callable[[T, R | None], U]
    ) -> "Stream[U]":
        """Combine each value with the row that its field `on`, or the key of that name, has in a table.

        `table` is a mapping, read once a value, or the type of a state: its cell as it is committed. The row
        is None where there is none.
        """
        if not isinstance(table, Mapping) and not issubclass(table, Struct):
            raise Problem(
                f"enrich: {name_of(table)} is neither a mapping nor a state",
                "write a dict of rows by their keys",
            )
        return self._with(Enrich(cast("Any", table), on, combine))

    # -- by what came before

    def deadband(self, of: str | None = None, *, width: float) -> "Stream[T]":
        """Keep a value whose number is at least `width` away from that of the last one kept."""
        if not (isinstance(width, int | float) and isfinite(width) and width > 0):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass others)
            raise Problem(
                f"deadband: width is {width!r}", 'write a positive number: .deadband("celsius", width=0.5)'
            )
        return self._with(Deadband(of, width))

    def change(self, *of: str) -> "Stream[T]":
        """Keep a value that differs from the one before in a named field; in anything where none is named."""
        return self._with(Change(of))

    def throttle(self, period: Duration) -> "Stream[T]":
        """Keep a value at least `period` after the last one kept, by the times of the events."""
        return self._with(Throttle(ns(period, "throttle", '.throttle("10s")')))

    def dedupe(self, *of: str, within: Duration) -> "Stream[T]":
        """Keep the first of equal values, or of values with equal fields, that come `within` a time."""
        return self._with(Dedupe(of, ns(within, "dedupe: within", '.dedupe("id", within="1h")')))

    def ewma(self, of: str | None = None, *, alpha: float = 0.1, warm: int = 10) -> "Stream[Scored[T]]":
        """Score each value by the exponentially weighted mean and deviation of those before it.

        `alpha` is the weight of the newest; the first `warm` values score 0.
        """
        if not 0 < alpha < 1:
            raise Problem(f"ewma: alpha is {alpha!r}", "write a number between 0 and 1: alpha=0.1")
        return self._with(Ewma(of, alpha, whole(warm, "ewma: warm", "warm=10")))

    def hampel(self, of: str | None = None, *, size: int = 25) -> "Stream[Scored[T]]":
        """Score each value by the median of the last `size` before it and their median distance from that."""
        if whole(size, "hampel: size", "size=25") > MAX_HAMPEL or size < 3:
            raise Problem(f"hampel: size is {size}", f"write a number from 3 to {MAX_HAMPEL}")
        return self._with(Hampel(of, size))

    def geofence(
        self, fences: Mapping[str, Shape], *, x: str = "lon", y: str = "lat", dwell: Duration | None = None
    ) -> "Stream[Fence]":
        """Tell where a position enters, leaves and, with `dwell`, has stayed so long in one of the fences.

        A fence is a list of corners (x, y), or a GeoJSON Polygon or MultiPolygon; `x` and `y` name the
        position's fields. Several fences may hold one position.
        """
        if not fences or len(fences) > MAX_FENCES:
            raise Problem(f"geofence: there are {len(fences)} fences", f"name 1 to {MAX_FENCES}")
        polygons: dict[str, Rings] = {}
        for name, shape in fences.items():
            try:
                polygons[name] = rings_of(shape)
            except ValueError as error:
                raise Problem(
                    f"geofence: {name}: {error}",
                    'write {"depot": [(13.1, 52.4), (13.2, 52.4), (13.2, 52.5)]}',
                ) from None
        stay = None if dwell is None else ns(dwell, "geofence: dwell", 'dwell="10m"')
        return self._with(Geofence(polygons, x, y, stay))

    # -- by time

    def debounce(self, quiet: Duration) -> "Stream[T]":
        """Keep a value that no other follows for so long; it leaves then, with its own time."""
        return self._with(Debounce(ns(quiet, "debounce", '.debounce("5s")')))

    def sample(self, period: Duration, *, lateness: Duration = "2s") -> "Stream[T]":
        """Keep the newest value of each stretch of time; it leaves at the stretch's end."""
        size, late = ns(period, "sample", '.sample("10s")'), ns(lateness, "sample: lateness", 'lateness="2s"')
        return self._with(Sample(size, late))

    def ordered(self, lateness: Duration = "2s") -> "Stream[T]":
        """Bring values into the order of their times: each waits for so long; what is later still is late."""
        return self._with(Ordered(ns(lateness, "ordered", '.ordered("2s")')))

    # -- windows

    def tumbling(self, size: Duration, *, lateness: Duration = "2s") -> "Windows[T]":
        """Cut time into windows side by side; an event may come `lateness` late, a later one is counted."""
        length, late = _times("tumbling", '.tumbling("1m", lateness="2s")', size, lateness)
        return Windows(self, "tumbling", length, length, late)

    def sliding(self, size: Duration, *, every: Duration, lateness: Duration = "2s") -> "Windows[T]":
        """Make a window of `size` begin `every` so often: an event is in each that it falls into."""
        example = '.sliding("10m", every="1m", lateness="2s")'
        length, step, late = _times("sliding", example, size, every, lateness)
        if step > length:
            raise Problem("sliding: every is longer than the size", f"write {example}")
        return Windows(self, "sliding", length, step, late)

    def session(self, gap: Duration, *, lateness: Duration = "2s") -> "Windows[T]":
        """Make a window of events that are less than `gap` apart."""
        length, late = _times("session", '.session("5m", lateness="2s")', gap, lateness)
        return Windows(self, "session", length, length, late)

    def count_window(self, size: int, *, every: int | None = None) -> "Windows[T]":
        """Make a window of the last `size` events, in the order in which they came, after `every` so many."""
        step = size if every is None else whole(every, "count_window: every", "every=10")
        if whole(size, "count_window: size", ".count_window(100)") % step:
            raise Problem(
                f"count_window: {size} is not a multiple of every={step}",
                "write .count_window(100, every=10)",
            )
        return Windows(self, "count", size, step, 0)

    # -- two streams of one function

    def join(
        self, other: "Stream[U]", combine: Callable[[T, U], V], *, within: Duration, lateness: Duration = "2s"
    ) -> "Stream[V]":
        """Combine each pair of values whose times are at most `within` apart, as soon as both are there."""
        near, late = _times("join", 'a.join(b, both, within="5s")', within, lateness)
        return self._meet(Meet("join", self, other, near, late, combine))

    def asof(
        self,
        other: "Stream[U]",
        combine: Callable[[T, U | None], V],
        *,
        tolerance: Duration | None = None,
        lateness: Duration = "2s",
    ) -> "Stream[V]":
        """Combine each value with the other's newest one that is not after it, nor older than `tolerance`.

        There may be none: then it is None. A value waits for `lateness`.
        """
        oldest = None if tolerance is None else ns(tolerance, "asof: tolerance", 'tolerance="1m"')
        late = ns(lateness, "asof: lateness", 'lateness="2s"')
        return self._meet(Meet("asof", self, other, oldest, late, combine))

    def followed_by(
        self, other: "Stream[U]", combine: Callable[[T, U], V], *, within: Duration, lateness: Duration = "2s"
    ) -> "Stream[V]":
        """Combine each value with the other's first one that comes after it `within` a time."""
        near, late = _times("followed_by", 'a.followed_by(b, both, within="5m")', within, lateness)
        return self._meet(Meet("followed_by", self, other, near, late, combine))

    def not_followed_by(
        self, other: "Stream[Any]", *, within: Duration, lateness: Duration = "2s"
    ) -> "Stream[T]":
        """Keep each value that none of the other's follows `within` a time; it leaves at the end of it."""
        near, late = _times("not_followed_by", 'a.not_followed_by(b, within="5m")', within, lateness)
        return self._meet(Meet("not_followed_by", self, other, near, late, None))

    # -- the end

    def forward(self) -> "Stream[T]":
        """Send each value to the cloud; it must be a fact."""
        return Stream(self.steps, self.keys, forwards=True, source=self.source, forget=self.forget)

    def _with(self, step: Step) -> "Stream[Any]":
        return Stream(
            (*self.steps, step), self.keys, forwards=self.forwards, source=self.source, forget=self.forget
        )

    def _meet(self, step: Meet) -> "Stream[Any]":
        other = step.right
        if not isinstance(other, Stream):
            raise Problem(
                f"{step.kind}: {name_of(other)} is not a stream", "give it another Stream of the function"
            )
        if self.keys != other.keys:
            raise Problem(
                f"{step.kind}: the streams are keyed by {self.keys} and {other.keys}",
                'key both alike: .key_by("truck") on each, before they meet',
            )
        return Stream((step,), self.keys, forget=self.forget)


def _times(what: str, example: str, *durations: Duration) -> list[int]:
    return [ns(duration, what, example) for duration in durations]


def stream_argument(annotation: Any) -> Any:
    """Return T of an annotation Stream[T], or None for any other."""
    if getattr(annotation, "__origin__", None) is Stream:
        return annotation.__args__[0]
    return None
