"""When a device that lost its connection tries again: an object of its own, without a clock."""

from random import Random
from typing import Protocol

from msgspec import Struct

from rimward.protocols.mqtt import Reason


class Policy(Protocol):
    """What a client asks after each connection that failed or was lost."""

    def delay(self) -> float:
        """Return the seconds to wait before the next attempt."""
        ...

    def succeeded(self) -> None:
        """Take note of a connection that was accepted."""
        ...


class Waits(Struct, frozen=True, forbid_unknown_fields=True):
    """The waits of `Backoff`."""

    first: float = 0.1  # seconds before the first attempt, jitter aside
    most: float = 10.0  # seconds; no wait is longer
    factor: float = 2.0  # from one attempt to the next


class Backoff:
    """Waits that grow exponentially; each is drawn evenly from its upper half.

    Without the draw, a thousand devices that lost the same node would come back in the same millisecond.
    """

    def __init__(self, waits: Waits | None = None, *, random: Random) -> None:
        self._waits = waits or Waits()
        self._random = random
        self._wait = self._waits.first

    def delay(self) -> float:
        """Return the seconds to wait before the next attempt."""
        wait = min(self._wait, self._waits.most)
        self._wait = min(self._wait * self._waits.factor, self._waits.most)
        return wait * self._random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Start over: the next loss is a new one."""
        self._wait = self._waits.first


# Refusals that the next attempt may not meet; the 3 is MQTT 3.1.1's "server unavailable" [3.1.1: 3.2.2.3].
_PASSING = frozenset(
    {
        3,
        Reason.UNSPECIFIED_ERROR,
        Reason.IMPLEMENTATION_SPECIFIC_ERROR,
        Reason.SERVER_UNAVAILABLE,
        Reason.SERVER_BUSY,
        Reason.QUOTA_EXCEEDED,
        Reason.CONNECTION_RATE_EXCEEDED,
    }
)


def is_passing(reason: int) -> bool:
    """Tell whether a refused connection is worth another attempt."""
    return reason in _PASSING
