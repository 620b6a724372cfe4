"""A log-linear histogram of durations, cheap enough to record every event.

Each power of two is cut into 32 buckets (5 bits of mantissa): 1,016 buckets cover 0 ns to 60 s, and a bucket
is at most 1/32 (3.2 %) of its value wide. Buckets are the same everywhere, so histograms of several
functions, processes or nodes merge exactly, and a percentile of a group is never an average of percentiles.
"""

from collections.abc import Mapping
from itertools import chain, compress

BUCKETS = 1016  # the last one holds 58.0 s and all above
_LINEAR = 64  # below it a bucket is one ns wide


class Histogram:
    """Counts durations in ns.

    `record` costs about 0.1 us, half of it the call. A caller that can't afford the call writes, for a
    duration from `TABLE_FROM` up to and without `TABLE_TO`::

        histogram.counts[TABLE[ns >> 4]] += 1

    which is counted in `count` and `percentile`, not in `sum` and `max`.
    """

    __slots__ = ("counts", "max", "sum")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS  # by bucket
        self.max = 0  # ns, the longest recorded
        self.sum: int = 0  # ns, all recorded

    @property
    def count(self) -> int:
        """How many durations were recorded; it adds up the buckets."""
        return sum(self.counts)

    def record(self, ns: int) -> None:
        """Count one duration; one below 0 counts as 0, one over 60 s in the last bucket."""
        if ns >= 32:
            shift = ns.bit_length() - 6
            try:
                self.counts[(shift << 5) + (ns >> shift)] += 1
            except IndexError:
                self.counts[-1] += 1
        elif ns >= 0:
            self.counts[ns] += 1
        else:
            self.counts[0] += 1
            return
        self.sum += ns
        if ns > self.max:  # noqa: PLR1730 (max() costs half as much as all the rest)
            self.max = ns

    def percentile(self, p: float) -> int:
        """Return the duration, ns, that `p` percent of all do not exceed, to half a bucket; 0 when empty."""
        rank = max(1, -int(-self.count * p // 100))
        seen = 0
        for bucket, n in enumerate(self.counts):
            seen += n
            if seen >= rank:
                return self._value(bucket)
        return self.max

    def merge(self, other: "Histogram") -> None:
        """Add what another histogram counted."""
        self.counts: list[int] = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.sum += other.sum
        self.max: int = max(self.max, other.max)

    def sparse(self) -> dict[int, int]:
        """Return the buckets that counted something: what leaves the process."""
        return dict(compress(enumerate(self.counts), self.counts))

    @classmethod
    def from_sparse(cls, sparse: Mapping[int, int]) -> "Histogram":
        """Return a histogram with these buckets; its `sum` and `max` are known to half a bucket.

        Raises:
            ValueError: a bucket does not exist, or its count is below 0.
        """
        histogram = cls()
        for bucket, n in sparse.items():
            if not 0 <= bucket < BUCKETS or n < 0:
                raise ValueError(
                    f"bucket {bucket} counts {n}: buckets are 0 to {BUCKETS - 1}, counts are not below 0"
                )
            histogram.counts[bucket] = n
            histogram.sum += n * middle(bucket)
            if n:
                histogram.max = max(histogram.max, middle(bucket))
        return histogram

    def _value(self, bucket: int) -> int:
        return max(self.max, middle(bucket)) if bucket == BUCKETS - 1 else middle(bucket)


TABLE_FROM, TABLE_TO = 512, 1 << 17  # ns
TABLE = (0,) * 32 + tuple(
    chain.from_iterable((bucket,) * (1 << (bucket >> 5) - 5) for bucket in range(160, 416))
)  # the bucket of a duration by its sixteenth


def bounds(bucket: int) -> tuple[int, int]:
    """Return the shortest and the longest duration, ns, that a bucket counts."""
    if bucket < _LINEAR:
        return bucket, bucket
    shift = (bucket >> 5) - 1
    low = ((bucket & 31) + 32) << shift
    return low, low + (1 << shift) - 1


def middle(bucket: int) -> int:
    """Return the duration, ns, that stands for a bucket."""
    low, high = bounds(bucket)
    return (low + high) // 2
