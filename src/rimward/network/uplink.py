"""The uplink's core: what to send next, and again, until the lake has it. No I/O and no clock of its own.

Nothing is deleted here: a bus may lose what it acknowledged, so a lane goes back to the lake's mark whenever
the mark does not follow (evidence: a row leaves the outbox by the mark alone).
"""

from rimward.wire import Mark, Place, Segment, SegmentSource, Supply

RESEND = 2.0  # seconds without a moving mark before a lane goes back to it; doubled up to RESEND_MOST
RESEND_MOST = 30.0
REFUSED = 0.25  # seconds that a lane waits which the bus refused; doubled up to REFUSED_MOST
REFUSED_MOST = 4.0
WINDOW = 16  # envelopes that the bus has not acknowledged yet
DOUBT = 16  # envelopes past the mark once a lane had to go back, until its mark moves
# Which class comes first: critical nearly always, but each of the others has an eighth of the turns.
_ORDER = {0: ("bulk", "normal", "critical"), 4: ("normal", "critical", "bulk")}
_USUAL = ("critical", "normal", "bulk")
TURNS = 8


class _Lane:
    """One fact's way: rows up to `mark` are in the lake, rows up to `sent` were given to the bus."""

    __slots__ = (
        "ahead",
        "attempt",
        "delay",
        "hold",
        "known",
        "mark",
        "moved_at",
        "patience",
        "sent",
        "served",
    )

    def __init__(self, now: float) -> None:
        self.sent: Place = (0, 0)
        self.mark: Place = (0, 0)
        self.known: Mark | None = None
        self.moved_at = now
        self.patience = RESEND
        self.attempt = 0
        self.ahead = 0  # envelopes since the lane went back
        self.hold = 0.0  # no envelope before this time
        self.delay = REFUSED
        self.served = 0  # the turn of its last envelope

    def may_send(self, now: float) -> bool:
        """Tell whether it has a turn: one whose mark does not follow sends little, and not for ever."""
        return now >= self.hold and (self.patience <= RESEND or self.ahead < DOUBT)

    def back_to(self, place: Place) -> None:
        """Start again from a place; the repeat is another attempt, or the bus would swallow it."""
        if self.sent > place:
            self.sent = place
            self.attempt += 1
            self.ahead = 0


class UplinkCore:
    """One node's lanes: positions, marks and attempts."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._turn = 0
        self.flying = 0  # envelopes that the bus has not answered

    def next(self, source: SegmentSource, now: float) -> Segment | None:
        """Return what to send now: urgent lanes first, every class in its share; None: wait."""
        if self.flying >= WINDOW:
            return None
        waiting = [supply for supply in source.supplies() if self._waits(supply, now)]
        if not waiting:
            return None
        self._turn += 1
        order = _ORDER.get(self._turn % TURNS, _USUAL)
        ranks = {priority: rank for rank, priority in enumerate(order)}
        waiting.sort(key=lambda one: (ranks.get(one.priority, 1), self._lanes[one.fact].served))
        for supply in waiting:
            lane = self._lanes[supply.fact]
            segment = source.segment(supply, lane.sent)
            if segment is not None:
                lane.served = self._turn
                return segment
        return None

    def _waits(self, supply: Supply, now: float) -> bool:
        lane = self._lanes.get(supply.fact)
        if lane is None:
            lane = self._lanes[supply.fact] = _Lane(now)
        return supply.last > lane.sent and lane.may_send(now)

    def sent(self, segment: Segment, now: float) -> None:
        """Note that a segment was given to the bus."""
        lane = self._lanes[segment.lane.fact]
        if lane.sent <= lane.mark:
            lane.moved_at = now
        lane.sent = segment.end
        lane.ahead += 1
        self.flying += 1

    def taken(self, segment: Segment) -> None:
        """Note that the bus has a segment."""
        self.flying -= 1
        self._lanes[segment.lane.fact].delay = REFUSED

    def refused(self, segment: Segment, now: float) -> None:
        """Note that the bus has no room for a segment: its lane waits and starts there again."""
        self.flying -= 1
        lane = self._lanes[segment.lane.fact]
        lane.hold = now + lane.delay
        lane.delay = min(2 * lane.delay, REFUSED_MOST)
        lane.back_to(max(min(lane.sent, segment.begin), lane.mark))

    def attempt(self, fact: str) -> int:
        """Return how often a lane has gone back: part of the message id, or the bus swallows the repeat."""
        return self._lanes[fact].attempt

    def marked(self, mark: Mark, now: float) -> bool:
        """Note how far the lake is; return False for news that is older than what is known.

        A mark goes back only where the table is another one or its lake was restored: then its lane resends.
        """
        lane = self._lanes.get(mark.fact)
        if lane is None:
            lane = self._lanes[mark.fact] = _Lane(now)
        known = lane.known
        if known is not None and known.table == mark.table and _age(mark) < _age(known):
            return False
        lane.known = mark
        if mark.reached != lane.mark:
            lane.mark, lane.moved_at, lane.patience, lane.ahead = mark.reached, now, RESEND, 0
        lane.sent = max(lane.sent, mark.reached)
        return True

    def go_back(self) -> None:
        """Start again from the marks, after a broken connection."""
        self.flying: int = 0
        for lane in self._lanes.values():
            lane.back_to(lane.mark)

    def tick(self, now: float) -> None:
        """Take lanes back whose mark does not follow."""
        for lane in self._lanes.values():
            if lane.sent > lane.mark and now - lane.moved_at > lane.patience:
                lane.moved_at = now
                lane.patience = min(2 * lane.patience, RESEND_MOST)
                lane.back_to(lane.mark)

    def behind(self) -> dict[str, dict[str, int]]:
        """Return each lane's position, for people."""
        return {
            fact: {"sent": lane.sent[1], "mark": lane.mark[1], "epoch": lane.sent[0], "attempt": lane.attempt}
            for fact, lane in self._lanes.items()
        }


def _age(mark: Mark) -> tuple[int, int]:
    return mark.generation, mark.version
