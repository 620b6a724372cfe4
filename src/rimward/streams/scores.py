"""Outlier scores of one key's numbers, in the order of arrival: how unlike what came before is it?

A value that is missing (None, NaN) has no score and does not pass.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from rimward.app.steps import Scored
from rimward.streams.items import Item, Untimed

MAX_SIZE = 1_000  # values that a Hampel score compares with
_MAD = 1.4826  # times the median of distances is the standard deviation of a normal distribution
_NOTHING: Sequence[Item] = ()


class Ewma(Untimed):
    """Scores by the exponentially weighted mean and variance of what came before: |x - mean| / deviation.

    Each value weighs `alpha`, all before it 1 - alpha (West 1979). The first `warm` score 0.
    """

    __slots__ = ("_alpha", "_count", "_get", "_mean", "_variance", "_warm")

    def __init__(self, get: Callable[[Any], Any], alpha: float, warm: int) -> None:
        super().__init__()
        self._get = get
        self._alpha = alpha
        self._warm = warm
        self._count = 0
        self._mean = self._variance = 0.0

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        value = self._get(item[1])
        if value is None or value != value:  # noqa: PLR0124 (NaN is what differs from itself)
            return _NOTHING
        distance, variance, score = value - self._mean, self._variance, 0.0
        if self._count >= self._warm:
            if variance > 0:
                score = abs(distance) / math.sqrt(variance)
            elif distance:
                score = math.inf
        if self._count == 0:
            self._mean = float(value)
        else:
            step = self._alpha * distance
            self._mean += step
            self._variance = (1 - self._alpha) * (variance + distance * step)
        self._count += 1
        return ((item[0], Scored(item[1], score), item[2]),)

    def snapshot(self) -> Any:
        """Return mean and variance."""
        return [self._count, self._mean, self._variance]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self._count, self._mean, self._variance = snapshot or (0, 0.0, 0.0)


class Hampel(Untimed):
    """Scores by the median of the last `size` values before and the median of their distances from it.

    No outlier moves a median far, so one does not hide the next. The first two values score 0.
    """

    __slots__ = ("_get", "_recent", "_size", "_sorted")

    def __init__(self, get: Callable[[Any], Any], size: int) -> None:
        super().__init__()
        self._get = get
        self._size = size
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        value = self._get(item[1])
        if value is None or value != value:  # noqa: PLR0124 (NaN is what differs from itself)
            return _NOTHING
        value = float(value)
        ordered = self._sorted
        score = 0.0
        if len(ordered) > 1:
            middle = median(ordered)
            score = ratio(abs(value - middle), _MAD * median(abs(one - middle) for one in ordered))
        insort(ordered, value)
        self._recent.append(value)
        if len(self._recent) > self._size:
            del ordered[bisect_left(ordered, self._recent.popleft())]
        return ((item[0], Scored(item[1], score), item[2]),)

    def snapshot(self) -> Any:
        """Return the last values."""
        return list(self._recent) or None

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self._recent = deque(snapshot or ())
        self._sorted = sorted(self._recent)


def ratio(distance: float, spread: float) -> float:
    """Return a distance in spreads; 0 where there is neither, infinite where there is a distance alone."""
    if spread > 0:
        return distance / spread
    return math.inf if distance > 0 else 0.0
