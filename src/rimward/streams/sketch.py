"""Percentiles in little memory: DDSketch (Masson, Rim, Lee, VLDB 2019), mergeable without loss.

Values are counted in bins whose bounds grow by a fixed factor, so that any percentile is within one percent
of a value of that rank. `MOST` bins span far more than twelve decimal orders; beyond them the bins nearest to
zero are put together. Smallest and largest value are exact.
"""

import math
from typing import Any, Self

from rimward.streams.accumulators import Convert, check_number

ACCURACY = 0.01  # of a percentile, relative to the value
MOST = 2048  # bins for each sign
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_PER_LOG = 1 / math.log(_GAMMA)
_SMALLEST = 1e-300  # what is nearer to zero counts as zero
_LARGEST = 1e300


class Sketch:
    """How many values fell into which bin."""

    __slots__ = ("_above", "_below", "_count", "_largest", "_smallest", "_zeros")

    def __init__(self) -> None:
        self._above: dict[int, int] = {}  # bin of a positive value: how many
        self._below: dict[int, int] = {}  # bin of a negative value's size
        self._zeros = 0
        self._count = 0
        self._smallest = math.inf
        self._largest = -math.inf

    def check(self, value: Any) -> None:
        check_number(value)

    def add(self, time: int, value: Any) -> None:
        del time
        value = float(value)
        self._count += 1
        self._smallest = min(self._smallest, value)
        self._largest = max(self._largest, value)
        if value > _SMALLEST:
            _count(self._above, math.ceil(math.log(min(value, _LARGEST)) * _PER_LOG), 1)
        elif value < -_SMALLEST:
            _count(self._below, math.ceil(math.log(min(-value, _LARGEST)) * _PER_LOG), 1)
        else:
            self._zeros += 1

    def merge(self, other: Self) -> None:
        self._count += other._count
        self._zeros += other._zeros
        self._smallest = min(self._smallest, other._smallest)
        self._largest = max(self._largest, other._largest)
        for mine, others in ((self._above, other._above), (self._below, other._below)):
            for index, count in others.items():
                _count(mine, index, count)

    def quantile(self, share: float) -> float:
        """Return about the value whose rank is nearest to a share of all; NaN of none."""
        if not self._count:
            return math.nan
        value = self._at(int(share * (self._count - 1) + 0.5))
        return min(max(value, self._smallest), self._largest)

    def _at(self, rank: int) -> float:
        seen = 0
        for index in sorted(self._below, reverse=True):
            seen += self._below[index]
            if seen > rank:
                return -_value(index)
        seen += self._zeros
        if seen > rank:
            return 0.0
        for index in sorted(self._above):
            seen += self._above[index]
            if seen > rank:
                return _value(index)
        return self._largest

    def snapshot(self, encode: Convert) -> list[Any]:
        del encode
        bins = [sorted(bins.items()) for bins in (self._above, self._below)]
        return [self._count, self._zeros, self._smallest, self._largest, *bins]

    def restore(self, snapshot: Any, decode: Convert) -> None:
        del decode
        self._count, self._zeros, self._smallest, self._largest, above, below = snapshot
        self._above, self._below = dict(above), dict(below)


def _value(index: int) -> float:
    """Return the value that is as far, in proportion, from both bounds of a bin."""
    return 2 * _GAMMA**index / (_GAMMA + 1)


def _count(bins: dict[int, int], index: int, count: int) -> None:
    bins[index] = bins.get(index, 0) + count
    if len(bins) > MOST:
        lowest, next_ = sorted(bins)[:2]
        bins[next_] += bins.pop(lowest)
