"""How many bytes may go: rates, their hours, and the bucket that keeps them. No clock of its own."""

import re

from msgspec import Struct

from rimward.network.config import Period, UplinkConfig

BURST = 0.25  # seconds of the rate that may go at once after a pause
DAY = 24 * 60  # minutes
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(bit|B)/s", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_PREFIX = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def parse_rate(text: str) -> float | None:
    """Return a rate in bytes a second; None where there is no cap.

    Raises:
        ValueError: it is no rate.
    """
    if not text:
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"rate is {text!r}, it must be like 64kbit/s, 2Mbit/s or 100kB/s")
    return float(match[1]) * _PREFIX[match[2]] / (8 if match[3] == "bit" else 1)


def parse_time(text: str) -> int:
    """Return a time of day as minutes after midnight.

    Raises:
        ValueError: it is none.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"time is {text!r}, it must be like 06:30")
    return 60 * int(match[1]) + int(match[2])


class Allowance(Struct, frozen=True):
    """What the link may carry now."""

    rate: float | None = None  # bytes a second; None: no cap
    metered: bool = False


class Schedule:
    """Which allowance holds when."""

    def __init__(self, config: UplinkConfig) -> None:
        """Read the settings.

        Raises:
            ValueError: a rate or a time is none.
        """
        self._usual = Allowance(parse_rate(config.rate), config.metered)
        self._periods = [_period(period) for period in config.schedule]

    def at(self, minute: int) -> Allowance:
        """Return what holds at a minute of the local day, 0 to 1439."""
        for begin, end, allowance in self._periods:
            if (minute - begin) % DAY < (end - begin) % DAY or begin == end:
                return allowance
        return self._usual


def _period(period: Period) -> tuple[int, int, Allowance]:
    allowance = Allowance(parse_rate(period.rate), period.metered)
    return parse_time(period.begin), parse_time(period.end), allowance


class Bucket:
    """A token bucket that may go into debt by one envelope, and then waits until that is paid.

    So no more than `rate` * time + `BURST` * rate + one envelope ever went, in any stretch of time.
    """

    def __init__(self) -> None:
        self.rate: float | None = None  # bytes a second
        self._level = 0.0
        self._at = 0.0

    def allow(self, rate: float | None, now: float) -> None:
        """Set the rate; a debt stays."""
        if rate != self.rate:
            self._fill(now)
            self.rate = rate

    def wait(self, now: float) -> float:
        """Return the seconds until something may go; 0.0: now."""
        if self.rate is None:
            return 0.0
        self._fill(now)
        if self._level > 0:
            return 0.0
        return (1 - self._level) / self.rate if self.rate else float("inf")

    def take(self, size: int, now: float) -> None:
        """Note that bytes went."""
        if self.rate is not None:
            self._fill(now)
            self._level -= size

    def _fill(self, now: float) -> None:
        elapsed = max(0.0, now - self._at)
        self._at = max(self._at, now)
        if self.rate is None:
            self._level = 0.0
        else:
            self._level = min(self._level + elapsed * self.rate, max(1.0, BURST * self.rate))
