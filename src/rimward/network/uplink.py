"""The uplink's core: what to send next, and again, until the lake has it. No I/O and no clock of its own.

Nothing is deleted here: a bus may lose what it acknowledged, so a lane goes back to the lake's mark whenever
the mark does not follow (evidence: a row leaves the outbox by the mark alone).
"""

from typing import Protocol

from msgspec import Struct

from rimward.wire import Mark

RESEND = 2.0  # seconds without a moving mark before a lane goes back to it; doubled up to RESEND_MOST
RESEND_MOST = 30.0
_RANK = {"critical": 0, "normal": 1, "bulk": 2}
BULK_SHARE = 8  # every eighth envelope may be bulk while others wait


class Segment(Struct):
    """Rows of one lane for one envelope, msgpack one after the other."""

    fact: str
    counter: int
    first: int
    last: int
    schema: str
    priority: str
    rows: bytes
    lost: str | None = None  # why there are none


class SegmentSource(Protocol):
    """Where segments come from."""

    def facts(self) -> dict[str, str]:
        """Return each fact with rows and its priority."""
        ...

    def segment(self, fact: str, after: tuple[int, int]) -> Segment | None:
        """Return the rows that follow (counter, seq)."""
        ...


class _Lane:
    __slots__ = ("attempt", "mark", "moved_at", "patience", "sent")

    def __init__(self, now: float) -> None:
        self.sent: tuple[int, int] = (0, 0)  # (counter, seq) of the last row given to the bus
        self.mark: tuple[int, int] = (0, 0)  # of the last row in the lake
        self.moved_at = now
        self.patience = RESEND
        self.attempt = 0


class UplinkCore:
    """One node's lanes: positions, marks and attempts."""

    def __init__(self, now: float) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._started = now
        self._turn = 0

    def next(self, source: SegmentSource, now: float) -> Segment | None:
        """Return what to send now: urgent lanes first, bulk in its share."""
        self._turn += 1
        bulk_first = self._turn % BULK_SHARE == 0
        facts = sorted(
            source.facts().items(),
            key=lambda item: -_RANK.get(item[1], 1) if bulk_first else _RANK.get(item[1], 1),
        )
        for fact, _ in facts:
            lane = self._lanes.setdefault(fact, _Lane(now))
            segment = source.segment(fact, lane.sent)
            if segment is not None:
                return segment
        return None

    def sent(self, segment: Segment, now: float) -> None:
        """Note that a segment was given to the bus."""
        lane = self._lanes[segment.fact]
        if lane.sent <= lane.mark:
            lane.moved_at = now
        lane.sent = (segment.counter, segment.last)

    def attempt(self, fact: str) -> int:
        """Return how often a lane has gone back: part of the message id, or the bus swallows the repeat."""
        return self._lanes[fact].attempt

    def marked(self, mark: Mark, now: float) -> None:
        """Note how far the lake is; a mark never goes back but for a restored lake, which resends."""
        lane = self._lanes.setdefault(mark.fact, _Lane(now))
        reached = (mark.counter, mark.seq)
        if reached != lane.mark:
            lane.mark, lane.moved_at, lane.patience = reached, now, RESEND
        lane.sent = max(lane.sent, reached)

    def go_back(self) -> None:
        """Start again from the marks, after a broken connection or a refused message."""
        for lane in self._lanes.values():
            if lane.sent > lane.mark:
                lane.sent = lane.mark
                lane.attempt += 1

    def tick(self, now: float) -> None:
        """Take lanes back whose mark does not follow."""
        for lane in self._lanes.values():
            if lane.sent > lane.mark and now - lane.moved_at > lane.patience:
                lane.sent, lane.moved_at = lane.mark, now
                lane.patience = min(2 * lane.patience, RESEND_MOST)
                lane.attempt += 1

    def behind(self) -> dict[str, dict[str, int]]:
        """Return each lane's position, for people."""
        return {
            fact: {"sent": lane.sent[1], "mark": lane.mark[1], "epoch": lane.sent[0], "attempt": lane.attempt}
            for fact, lane in self._lanes.items()
        }
