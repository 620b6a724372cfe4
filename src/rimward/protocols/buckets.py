"""Token buckets: how much may come, in a second and at once. Time is given, never looked up."""

from typing import Generic, TypeVar

K = TypeVar("K")


class Bucket:
    """A rate, and a burst above it."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        """`rate` is tokens a second, `burst` how many there are at once; `now` is monotonic seconds."""
        self._rate: float = rate
        self._burst: float = burst
        self._tokens: float = burst
        self._at: float = now

    def take(self, count: float, now: float) -> bool:
        """Take tokens where there are enough."""
        if self.left(now) < count:
            return False
        self._tokens -= count
        return True

    def owe(self, count: float, now: float) -> float:
        """Take tokens in any case, and return the seconds after which none are owed."""
        self._tokens = self.left(now) - count
        return max(0.0, -self._tokens / self._rate)

    def lack(self, count: float, now: float) -> float:
        """Return the seconds after which there are enough; 0 where there are."""
        return max(0.0, (count - self.left(now)) / self._rate)

    def left(self, now: float) -> float:
        """Return how many there are; less than none where some are owed."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        return self._tokens

    def is_full(self, now: float) -> bool:
        """Tell whether nothing was taken for so long that it is as a new one."""
        return self.left(now) >= self._burst


class Buckets(Generic[K]):
    """A bucket a key, for so many keys that their memory is bounded: the least recently used makes room."""

    def __init__(self, rate: float, burst: float, most: int) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._buckets: dict[K, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, key: K, now: float) -> Bucket:
        """Return a key's bucket."""
        bucket = self._buckets.pop(key, None) or Bucket(self._rate, self._burst, now)
        if len(self._buckets) >= self._most:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = bucket
        return bucket

    def take(self, key: K, count: float, now: float) -> bool:
        """Take tokens of a key's bucket where there are enough."""
        return self.of(key, now).take(count, now)
