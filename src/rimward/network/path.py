"""A path to the hub, measured: round trip, jitter (RFC 3550 §6.4.1) and whether it is up."""

from rimward.observe import Histogram


class Path:
    """One way to the hub and what it is worth right now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.up = False
        self.rtt = 0.0  # seconds, smoothed as TCP does (RFC 6298: 1/8)
        self.jitter: float = 0.0  # seconds
        self.losses: int = 0
        self.histogram: Histogram = Histogram()
        self._last: float | None = None

    def measured(self, rtt: float) -> None:
        """Take one round trip, seconds."""
        self.up = True
        self.histogram.record(round(rtt * 1e9))
        self.rtt: float = rtt if self._last is None else self.rtt + (rtt - self.rtt) / 8
        if self._last is not None:
            self.jitter += (abs(rtt - self._last) - self.jitter) / 16
        self._last = rtt

    def lost(self) -> None:
        """Take one probe that did not come back."""
        self.losses += 1
        self.up: bool = False
