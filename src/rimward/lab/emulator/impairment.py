"""What a link does to packets in one direction."""

from msgspec import Struct

from rimward.events import RimwardError


class ImpairmentError(RimwardError):
    """A link that there can't be; the message names the value and its bounds."""

    code = "impairment"


class Direction(Struct, frozen=True, forbid_unknown_fields=True):
    """One direction of a link; a good one as it stands."""

    delay: float = 0.0  # seconds
    jitter: float = 0.0  # seconds; each packet's delay is up to this much longer, evenly spread
    loss: float = 0.0  # share of the packets, 0 to 1
    burst: float = 1.0  # packets that are lost in a row, on average; 1: each by itself
    rate: float | None = None  # bits a second; None: no limit
    queue: int = 64 << 10  # bytes that wait for the rate; what comes on top is dropped
    reorder: float = 0.0  # share of the packets that skip the delay and so overtake others
    duplicate: float = 0.0  # share of the packets that come twice
    up: bool = True  # False: nothing passes, and what was on its way is gone

    def check(self) -> None:
        """Make sure that there can be such a link.

        Raises:
            ImpairmentError: a value is outside its bounds.
        """
        for name in ("loss", "reorder", "duplicate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ImpairmentError(f"{name} is {getattr(self, name)}: a share is 0 to 1")
        for name in ("delay", "jitter"):
            if not 0.0 <= getattr(self, name) <= 600.0:
                raise ImpairmentError(f"{name} is {getattr(self, name)}: 0 to 600 seconds can be emulated")
        if not self.burst >= 1.0:
            raise ImpairmentError(f"burst is {self.burst}: at least 1 packet is lost in a row")
        if self.rate is not None and not self.rate > 0:
            raise ImpairmentError(f"rate is {self.rate}: it is above 0 bits a second, or none")
        if self.queue < 1500:
            raise ImpairmentError(f"queue is {self.queue} bytes: at least one packet of 1500 has to fit")
