"""Incremental aggregates, named and defined as pandas' are.

Missing values (None, NaN) are skipped. Of no values at all `count`, `nunique` and `sum` are 0, `min`, `max`,
`first` and `last` None, the others NaN; `std` and `var` are the sample's (n - 1), NaN of a single value.
`first` and `last` go by event time, not by arrival. Integers are summed exactly, floats with compensation
(Neumaier); variance follows Welford, and Chan where two are merged. These here take constant memory.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol, Self

from rimward.events import RimwardError

Convert = Callable[[Any], Any]

MAX_VALUES = 100_000  # that one window keeps, where it keeps them


class WindowFull(RimwardError):
    """A window keeps as many values as it may: make it shorter, or use aggregates that keep none."""

    code = "window-full"


class Accumulator(Protocol):
    """What several aggregates of one field share."""

    def check(self, value: Any) -> None:
        """Raise where `add` could not take the value."""
        ...

    def add(self, time: int, value: Any) -> None:
        """Take a value that is not missing and has passed the check."""
        ...

    def merge(self, other: Self) -> None:
        """Take what another has taken; where times are equal, the other's values came later.

        Raises:
            WindowFull: both together keep more than one may; nothing has changed.
        """
        ...

    def snapshot(self, encode: Convert) -> list[Any]:
        """Return the state as builtins; `encode` makes a value one."""
        ...

    def restore(self, snapshot: Any, decode: Convert) -> None:
        """Take over a snapshot's state."""
        ...


def check_number(value: Any) -> None:
    """Raise TypeError where the value is no int, float or bool."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"agg computes with numbers, got {type(value).__name__}")


def check_room(kept: int) -> None:
    """Raise WindowFull where a window keeps all that it may."""
    if kept >= MAX_VALUES:
        raise WindowFull(f"a window keeps {kept} values, the limit is {MAX_VALUES}")


class Count:
    """How many values."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count: int = 0

    def check(self, value: Any) -> None:
        """Take any."""

    def add(self, time: int, value: Any) -> None:
        del time, value
        self.count += 1

    def merge(self, other: Self) -> None:
        self.count += other.count

    def snapshot(self, encode: Convert) -> list[Any]:
        del encode
        return [self.count]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        del decode
        (self.count,) = snapshot


class Sum:
    """Sum and mean: integers exactly, floats with what rounding has lost kept apart."""

    __slots__ = ("_count", "_floating", "_lost", "_whole")

    def __init__(self) -> None:
        self._count = 0
        self._whole = 0
        self._floating: float | None = None  # None until a float comes: integers have an integer sum
        self._lost = 0.0

    def check(self, value: Any) -> None:
        check_number(value)

    def add(self, time: int, value: Any) -> None:
        del time
        self._count += 1
        if not isinstance(value, float):
            self._whole += value
            return
        floating = self._floating or 0.0
        total = floating + value
        if abs(floating) >= abs(value):
            self._lost += (floating - total) + value
        else:
            self._lost += (value - total) + floating
        self._floating = total

    def merge(self, other: Self) -> None:
        count = self._count + other._count
        self._whole += other._whole
        if other._floating is not None:
            self.add(0, other._floating)
            self._lost += other._lost
        self._count = count

    def sum(self) -> float:
        if self._floating is None:
            return self._whole
        lost = self._lost if math.isfinite(self._floating) else 0.0  # inf - inf left NaN there
        return self._floating + (self._whole + lost)

    def mean(self) -> float:
        return self.sum() / self._count if self._count else math.nan

    def snapshot(self, encode: Convert) -> list[Any]:
        del encode
        return [
            self._count,
            str(self._whole),
            self._floating,
            self._lost,
        ]  # msgpack's integers end at 64 bits

    def restore(self, snapshot: Any, decode: Convert) -> None:
        del decode
        self._count, whole, self._floating, self._lost = snapshot
        self._whole = int(whole)


class Extremes:
    """Smallest and largest value."""

    __slots__ = ("_empty", "largest", "smallest")

    def __init__(self) -> None:
        self._empty = True
        self.smallest: Any = None
        self.largest: Any = None

    def check(self, value: Any) -> None:
        if not self._empty:
            _ = value < self.smallest  # a type without order, or another one, says so here

    def add(self, time: int, value: Any) -> None:
        del time
        if self._empty:
            self._empty = False
            self.smallest = self.largest = value
        elif value < self.smallest:
            self.smallest = value
        elif value > self.largest:
            self.largest = value

    def merge(self, other: Self) -> None:
        if not other._empty:
            self.add(0, other.smallest)
            self.add(0, other.largest)

    def snapshot(self, encode: Convert) -> list[Any]:
        return [] if self._empty else [encode(self.smallest), encode(self.largest)]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        self._empty = not snapshot
        if snapshot:
            self.smallest, self.largest = (decode(value) for value in snapshot)


class Ends:
    """First and last value by event time; of equal times, the first and the last to come."""

    __slots__ = ("_first_at", "_last_at", "first", "last")

    def __init__(self) -> None:
        self._first_at: int | None = None  # ns since the epoch
        self._last_at = 0
        self.first: Any = None
        self.last: Any = None

    def check(self, value: Any) -> None:
        """Take any."""

    def add(self, time: int, value: Any) -> None:
        if self._first_at is None:
            self._first_at = self._last_at = time
            self.first = self.last = value
        elif time >= self._last_at:
            self._last_at, self.last = time, value
        elif time < self._first_at:
            self._first_at, self.first = time, value

    def merge(self, other: Self) -> None:
        if other._first_at is not None:
            self.add(other._first_at, other.first)
            self.add(other._last_at, other.last)

    def snapshot(self, encode: Convert) -> list[Any]:
        if self._first_at is None:
            return []
        return [self._first_at, self._last_at, encode(self.first), encode(self.last)]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        if snapshot:
            self._first_at, self._last_at, first, last = snapshot
            self.first, self.last = decode(first), decode(last)


class Spread:
    """Sample variance and standard deviation."""

    __slots__ = ("_count", "_mean", "_squares")

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0  # of the distances from the mean

    def check(self, value: Any) -> None:
        check_number(value)

    def add(self, time: int, value: Any) -> None:
        del time
        self._count += 1
        distance = value - self._mean
        self._mean += distance / self._count
        self._squares += distance * (value - self._mean)

    def merge(self, other: Self) -> None:
        if not other._count:
            return
        count, distance = self._count + other._count, other._mean - self._mean
        self._squares += other._squares + distance * distance * self._count * other._count / count
        self._mean += distance * other._count / count
        self._count = count

    def var(self) -> float:
        return self._squares / (self._count - 1) if self._count > 1 else math.nan

    def std(self) -> float:
        return math.sqrt(self.var())

    def snapshot(self, encode: Convert) -> list[Any]:
        del encode
        return [self._count, self._mean, self._squares]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        del decode
        self._count, self._mean, self._squares = snapshot
