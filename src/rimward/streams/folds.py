"""What becomes of a window's values: named aggregates of their fields, or one function over all of them."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isnan
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

from rimward.streams.accumulators import Accumulator, Count, Ends, Extremes, Spread, Sum, check_room
from rimward.streams.aggregates import AGGREGATES
from rimward.streams.sketch import Sketch
from rimward.streams.values import PLAIN, Codec, same

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

NUMERIC = (Count, Sum, Spread, Sketch, Ends, Extremes)
_Check = Callable[[Any], None]
_Add = Callable[[int, Any], None]
_Column = tuple[Callable[[Any], Any], tuple[_Check, ...], tuple[_Add, ...]]  # reads a field, checks, takes


class Cell(Protocol[R_co]):
    """The state of one window's fold."""

    def add(self, time: int, value: Any) -> None:
        """Take a value with its event time, ns; whole or, where it raises, not at all."""
        ...

    def merge(self, other: Any) -> None:
        """Take what another cell of the same fold has taken, later than this one where times are equal.

        Raises:
            WindowFull: both together keep more values than one may.
        """
        ...

    def result(self, start: int = 0, end: int = 0) -> R_co:
        """Return what the values of a window with these bounds, ns since the epoch, come to."""
        ...

    def snapshot(self) -> list[Any]:
        """Return the state as builtins that msgpack can carry."""
        ...


class Fold(Protocol[R_co]):
    """Makes cells, one a window."""

    def new(self) -> Cell[R_co]:
        """Return a cell without values."""
        ...

    def restore(self, snapshot: Any) -> Cell[R_co]:
        """Return a cell in a snapshot's state."""
        ...


def _same_of(field: str, value: Any) -> Any:
    del field
    return value


class AggFold:
    """pandas' named aggregation: `{"mean": ("celsius", "mean")}` gives `{"mean": 21.5}`.

    Values are read by attribute. Those of other types than numbers, text and times, where a fold keeps them
    (`first`, `min`), need `encode(value) -> builtins` and `decode(field, builtins) -> value` for snapshots.
    """

    def __init__(
        self,
        fields: Mapping[str, tuple[str, str]],
        *,
        encode: Callable[[Any], Any] = same,
        decode: Callable[[str, Any], Any] = _same_of,
    ) -> None:
        for name, (source, how) in fields.items():
            if how not in AGGREGATES:
                known = ", ".join(AGGREGATES)
                raise ValueError(f"agg: {name} = ({source!r}, {how!r}), it must be one of {known}")
        self._encode = encode
        self._decode = decode
        places = [(source, AGGREGATES[how][0]) for source, how in fields.values()]
        self._kinds = tuple(dict.fromkeys(places))  # sum and mean of one field are one accumulator
        self._outputs = tuple(
            (name, self._kinds.index(place), AGGREGATES[how][1])
            for (name, (_, how)), place in zip(fields.items(), places, strict=True)
        )
        self._getters = {source: attrgetter(source) for source, _ in self._kinds}
        self.alone: Callable[[Any], Any] | None = None  # reads the field, where there is one alone
        if len(self._getters) == 1:
            [self.alone] = self._getters.values()

    def new(self) -> "AggCell":
        """Return a cell without values."""
        return AggCell(self, [kind() for _, kind in self._kinds])

    def restore(self, snapshot: Any) -> "AggCell":
        """Return a cell in a snapshot's state."""
        cell = self.new()
        for (source, _), accumulator, state in zip(self._kinds, cell.accumulators, snapshot, strict=True):
            accumulator.restore(state, partial(self._decode, source))
        return cell

    def columns(self, accumulators: list[Accumulator]) -> list[_Column]:
        """Return, per field, how it is read, and the checks and additions that its value goes through."""
        columns: list[_Column] = []
        for source, getter in self._getters.items():
            takers = [a for a, (of, _) in zip(accumulators, self._kinds, strict=True) if of == source]
            columns.append((getter, tuple(t.check for t in takers), tuple(t.add for t in takers)))
        return columns

    def results(self, accumulators: list[Accumulator], start: int, end: int) -> dict[str, Any]:
        """Return each output's value."""
        return {name: give(accumulators[index], start, end) for name, index, give in self._outputs}

    def snapshot(self, accumulators: list[Accumulator]) -> list[Any]:
        """Return the accumulators' states as builtins."""
        return [accumulator.snapshot(self._encode) for accumulator in accumulators]


class AggCell:
    """One window's aggregates."""

    __slots__ = ("_adds", "_columns", "_fold", "_numbers", "accumulators")

    def __init__(self, fold: AggFold, accumulators: list[Accumulator]) -> None:
        self._fold = fold
        self.accumulators: list[Accumulator] = accumulators
        # One field, and accumulators that take every number: they need no check first.
        plain = fold.alone is not None and all(isinstance(one, NUMERIC) for one in accumulators)
        self._numbers = fold.alone if plain else None
        self._columns: list[_Column] | None = None  # made when a value is no plain number
        first = [one for one in accumulators if isinstance(one, Extremes)]  # they alone may raise
        ordered = [*first, *(one for one in accumulators if one not in first)] if plain else []
        self._adds: tuple[_Add, ...] = tuple(one.add for one in ordered)

    def add(self, time: int, value: Any) -> None:
        """Take a value: its missing fields are skipped.

        Raises:
            TypeError: an aggregate can't take a field's value.
            WindowFull: `median` or `nunique` keeps all that it may.
        """
        if self._numbers is not None:
            item = self._numbers(value)
            small = isinstance(item, int) and item.bit_length() < 64
            if small or (isinstance(item, float) and not isnan(item)):
                for add in self._adds:
                    add(time, item)
                return
        if self._columns is None:
            self._columns = self._fold.columns(self.accumulators)
        taken: list[tuple[tuple[_Add, ...], Any]] = []
        for get, checks, adds in self._columns:
            item = get(value)
            if item is None or (type(item) is float and isnan(item)):
                continue
            for check in checks:
                check(item)
            taken.append((adds, item))
        for adds, item in taken:
            for add in adds:
                add(time, item)

    def merge(self, other: "AggCell") -> None:
        """Take what another cell has taken.

        Raises:
            WindowFull: both together keep more values than one may.
        """
        for mine, its in zip(self.accumulators, other.accumulators, strict=True):
            mine.merge(its)

    def result(self, start: int = 0, end: int = 0) -> dict[str, Any]:
        """Return each output's value."""
        return self._fold.results(self.accumulators, start, end)

    def snapshot(self) -> list[Any]:
        """Return the state as builtins."""
        return self._fold.snapshot(self.accumulators)


class ApplyFold(Generic[T, R]):
    """One function over a window's values, in the order of their event times.

    `encode` makes a value builtins that msgpack can carry, `decode` the value again.
    """

    def __init__(
        self,
        function: Callable[[Sequence[T]], R],
        *,
        encode: Callable[[Any], Any] = same,
        decode: Callable[[Any], T] = same,
    ) -> None:
        self.function = function
        self._encode = encode
        self._decode = decode

    def new(self) -> "ApplyCell[R]":
        """Return a cell without values."""
        return ApplyCell(self.function, self._encode)

    def restore(self, snapshot: Any) -> "ApplyCell[R]":
        """Return a cell in a snapshot's state."""
        cell = self.new()
        times, values = snapshot
        cell.times.extend(times)
        cell.values.extend(self._decode(value) for value in values)
        return cell


class ApplyCell(Generic[R]):
    """One window's values; of equal times, in the order in which they came."""

    __slots__ = ("_encode", "_function", "times", "values")

    def __init__(self, function: Callable[[Sequence[Any]], R], encode: Callable[[Any], Any]) -> None:
        self._function = function
        self._encode = encode
        self.times: list[int] = []  # ns since the epoch
        self.values: list[Any] = []

    def add(self, time: int, value: Any) -> None:
        """Take a value.

        Raises:
            WindowFull: the window keeps all that it may.
        """
        check_room(len(self.times))
        if not self.times or time >= self.times[-1]:
            self.times.append(time)
            self.values.append(value)
        else:
            place = bisect_right(self.times, time)
            self.times.insert(place, time)
            self.values.insert(place, value)

    def merge(self, other: "ApplyCell[R]") -> None:
        """Take another cell's values.

        Raises:
            WindowFull: both together keep more than one may.
        """
        check_room(len(self.times) + len(other.times) - 1)
        for time, value in zip(other.times, other.values, strict=True):
            self.add(time, value)

    def result(self, start: int = 0, end: int = 0) -> R:
        """Return what the function makes of the values."""
        del start, end
        return self._function(self.values)

    def snapshot(self) -> list[Any]:
        """Return the state as builtins."""
        return [list(self.times), [self._encode(value) for value in self.values]]


class LastFold:
    """The newest value by event time; of equal times the last to come."""

    def __init__(self, codec: Codec = PLAIN) -> None:
        self.codec: Codec = codec

    def new(self) -> "LastCell":
        """Return a cell without a value."""
        return LastCell(self.codec)

    def restore(self, snapshot: Any) -> "LastCell":
        """Return a cell in a snapshot's state."""
        cell = self.new()
        cell.time, value = snapshot
        cell.value = self.codec.decode(value)
        return cell


class LastCell:
    """One window's newest value."""

    __slots__ = ("_codec", "time", "value")

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.time: int | None = None  # ns since the epoch
        self.value: Any = None

    def add(self, time: int, value: Any) -> None:
        """Take a value."""
        if self.time is None or time >= self.time:
            self.time, self.value = time, value

    def merge(self, other: "LastCell") -> None:
        """Take another cell's value."""
        if other.time is not None:
            self.add(other.time, other.value)

    def result(self, start: int = 0, end: int = 0) -> Any:
        """Return the value."""
        del start, end
        return self.value

    def snapshot(self) -> list[Any]:
        """Return the state as builtins."""
        return [self.time, self._codec.encode(self.value)]
