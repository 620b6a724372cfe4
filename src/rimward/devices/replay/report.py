"""What a replay did, counted at the devices."""

from msgspec import Struct, field

from rimward.observe import Histogram


class RoundTrip(Struct, frozen=True):
    """Times from a sample's publication to the action that it caused, at the device, us."""

    count: int
    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, histogram: Histogram) -> "RoundTrip":
        """Return a histogram's figures; a percentile stands for its bucket, but is not above the longest."""
        p50, p99 = (min(histogram.percentile(p), histogram.max) / 1000 for p in (50, 99))
        return cls(histogram.count, p50, p99, histogram.max / 1000)


class Counts(Struct):
    """What one device, or all, did so far."""

    sent: int = 0
    acknowledged: int = 0  # QoS 0 messages count as they leave
    refused: dict[str, int] = field(default_factory=dict[str, int])  # by the server's reason
    late: int = 0  # sent more than `LATE` after their time
    buzzes: int = 0  # actions received
    unmatched: int = 0  # actions for no sample that is remembered

    def add(self, other: "Counts") -> None:
        """Add another device's."""
        self.sent += other.sent
        self.acknowledged += other.acknowledged
        self.late += other.late
        self.buzzes += other.buzzes
        self.unmatched += other.unmatched
        for reason, n in other.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + n


class Report(Struct, frozen=True):
    """All devices at one moment."""

    seconds: float  # since the start
    devices: int
    connected: int
    total: Counts
    unacknowledged: int
    reconnects: int
    resent: int  # messages sent again after a loss
    round_trip_us: RoundTrip
    by_device: dict[str, Counts]
    failures: dict[str, str]  # why a device gave up

    @property
    def is_clean(self) -> bool:
        """Whether everything that was sent was accepted."""
        total = self.total
        return total.sent > 0 and total.acknowledged == total.sent and not total.refused and not self.failures
