"""Who has failed too often waits, longer each time, before another of its passwords is looked at."""

import ipaddress
from collections.abc import Callable

from msgspec import Struct

FREE = 5  # failures of one address that cost it nothing: people mistype, and networks share an address
FIRST = 1.0  # seconds that the next failure costs; each one after it twice as much
LONGEST = 60.0  # seconds
FORGOTTEN = 600.0  # seconds after its last failure in which an address is forgotten
ADDRESSES = 8192  # that are remembered; beyond it the one whose failure is the oldest is forgotten


class _Record(Struct):
    failures: int
    at: float  # monotonic seconds of the last failure
    until: float


class Backoff:
    """Failures by address; an IPv6 address counts as its /64, which one household or host has for itself."""

    def __init__(self, monotonic: Callable[[], int]) -> None:
        """`monotonic` is in ns."""
        self._monotonic = monotonic
        self._records: dict[str, _Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, address: str) -> float:
        """Return the seconds that an address has to wait; 0 if it is welcome."""
        record = self._records.get(_network(address))
        return max(0.0, record.until - self._monotonic() * 1e-9) if record is not None else 0.0

    def failed(self, address: str) -> None:
        """Note a failure."""
        network, now = _network(address), self._monotonic() * 1e-9
        record = self._records.pop(network, None)
        if record is None or now - record.at > FORGOTTEN:
            record = _Record(0, now, 0.0)
        record.failures += 1
        record.at = now
        if record.failures > FREE:
            record.until = now + min(LONGEST, FIRST * 2.0 ** min(record.failures - FREE - 1, 16))
        while len(self._records) >= ADDRESSES:
            del self._records[next(iter(self._records))]
        self._records[network] = record


def _network(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
