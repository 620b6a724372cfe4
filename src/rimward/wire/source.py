"""What the uplink drains: rows of facts, cut into segments on demand. The outbox is one such source."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from rimward.wire.lanes import Lane

Place = tuple[int, int]  # (epoch counter, seq); (0, 0) is before every row


class Supply(Struct, frozen=True, gc=False):
    """One fact, how far its rows go, and how urgent they are now."""

    fact: str
    priority: str
    last: Place


class Segment(Struct):
    """Rows `first` to `last` of a lane for one envelope, msgpack one after the other."""

    lane: Lane
    first: int
    last: int
    schema: str  # fingerprint
    priority: str  # the fact's; a lane travels by one stream
    rows: bytes
    lost: str | None = None  # why there are none
    prior: int = 0  # transaction version of the fact's last row in the epoch before; 0: none waits there
    prior_nonce: int = 0  # of that epoch

    @property
    def begin(self) -> Place:
        """The place just before the first row."""
        return self.lane.epoch.counter, self.first - 1

    @property
    def end(self) -> Place:
        """The place of the last row."""
        return self.lane.epoch.counter, self.last


class SegmentSource(Protocol):
    """Rows that wait to be sent; reading them takes nothing away."""

    def supplies(self) -> Sequence[Supply]:
        """Return every fact that has rows, those without any left too."""
        ...

    def segment(self, supply: Supply, after: Place, most: int = ...) -> Segment | None:
        """Return the rows that follow a place, up to `most` bytes of them; older epochs first.

        What is no longer there, or damaged, comes as a segment without rows that says why: a lane never
        stops for it. None: nothing follows.
        """
        ...
