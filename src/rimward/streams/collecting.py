"""Aggregates that keep values, MAX_VALUES at most."""

import math
from bisect import bisect_right, insort
from heapq import merge
from typing import Any, Self

from rimward.streams.accumulators import Convert, check_number, check_room


class Sorted:
    """The middle value: keeps all."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[Any] = []

    def check(self, value: Any) -> None:
        check_number(value)
        check_room(len(self.values))

    def add(self, time: int, value: Any) -> None:
        del time
        insort(self.values, value)

    def merge(self, other: Self) -> None:
        check_room(len(self.values) + len(other.values) - 1)
        self.values = list(merge(self.values, other.values))

    def median(self) -> float:
        values, middle = self.values, len(self.values) // 2
        if not values:
            return math.nan
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    def snapshot(self, encode: Convert) -> list[Any]:
        return [encode(value) for value in self.values]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        self.values = [decode(value) for value in snapshot]


class Distinct:
    """How many different values: keeps each once."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[
            Any, None
        ] = {}  # a dict keeps their order, so that equal states have equal snapshots

    def check(self, value: Any) -> None:
        if value not in self.values:  # a list has no hash and says so here
            check_room(len(self.values))

    def add(self, time: int, value: Any) -> None:
        del time
        self.values[value] = None

    def merge(self, other: Self) -> None:
        both = self.values | other.values
        check_room(len(both) - 1)
        self.values = both

    def nunique(self) -> int:
        return len(self.values)

    def snapshot(self, encode: Convert) -> list[Any]:
        return [encode(value) for value in self.values]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        self.values = dict.fromkeys(decode(value) for value in snapshot)


class TimeWeighted:
    """The mean of a value that holds from its time until the next one's, and the last until the window's end.

    Nothing is known of the time before the window's first value: it does not count. Of values of one time the
    last to come holds.
    """

    __slots__ = ("_times", "_values")

    def __init__(self) -> None:
        self._times: list[int] = []  # ns since the epoch
        self._values: list[Any] = []

    def check(self, value: Any) -> None:
        check_number(value)
        check_room(len(self._times))

    def add(self, time: int, value: Any) -> None:
        if not self._times or time >= self._times[-1]:
            self._times.append(time)
            self._values.append(value)
            return
        place = bisect_right(self._times, time)
        self._times.insert(place, time)
        self._values.insert(place, value)

    def merge(self, other: Self) -> None:
        check_room(len(self._times) + len(other._times) - 1)
        for time, value in zip(other._times, other._values, strict=True):
            self.add(time, value)

    def mean(self, end: int) -> float:
        """Return the mean up to the window's end, ns since the epoch."""
        if not self._times:
            return math.nan
        if end <= self._times[0]:
            return float(self._values[-1])  # all at the last moment
        ends = [*self._times[1:], end]
        weighed = (
            value * (until - since)
            for value, since, until in zip(self._values, self._times, ends, strict=True)
        )
        return math.fsum(weighed) / (end - self._times[0])

    def snapshot(self, encode: Convert) -> list[Any]:
        return [list(self._times), [encode(value) for value in self._values]]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        times, values = snapshot
        self._times = list(times)
        self._values = [decode(value) for value in values]
