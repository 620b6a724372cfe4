"""What the uplink drains: lanes with rows, sealed into envelopes on demand. The outbox is one such source."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from rimward.wire.lanes import Lane


class Supply(Struct, frozen=True, gc=False):
    """A lane and its last row so far."""

    lane: Lane
    priority: str
    last: int


class Segment(Struct, frozen=True, gc=False):
    """Rows `first` to `last` of a lane as one envelope; `lost` says why it has none."""

    lane: Lane
    first: int
    last: int
    payload: bytes
    lost: str | None = None


class SegmentSource(Protocol):
    """Rows that wait to be sent; sealing takes nothing away."""

    def supplies(self) -> Sequence[Supply]:
        """Return every lane that ever had rows, those without any left too."""
        ...

    def seal(self, supply: Supply, first: int, attempt: int) -> Segment:
        """Return the rows from `first` on, as many as an envelope takes.

        What is no longer there, or damaged, comes as a segment without rows that says why: a lane never
        stops for it.
        """
        ...
