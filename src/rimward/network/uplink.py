"""The uplink's core: what to send next, when, and again, until the lake has it. No I/O, no clock of its own.

Nothing is deleted here: a bus may lose what it acknowledged, so a lane goes back to the lake's mark whenever
the mark does not follow (evidence: a row leaves the outbox by the mark alone). Inside a lane rows go strictly
by their numbers. An envelope goes once it is full or its first row has waited for its class's time, as soon
as window and rate have room for it, and the bus has few of its lane's rows that are not in the lake.
"""

from typing import Any

from msgspec import Struct

from rimward.network.config import UplinkConfig
from rimward.network.lanes import REFUSED, REFUSED_MOST, RESEND, RESEND_MOST, UNTOLD, UplinkLane
from rimward.network.pace import Allowance, Bucket
from rimward.network.turns import USUAL, Turns
from rimward.network.window import LEAST, Window
from rimward.wire import Mark, Pace, Segment, SegmentSource, Supply, table_of

SHORTEST = 8 << 10  # bytes before compression to which envelopes are cut on a slow link
CARRY = 0.5  # seconds of the rate that one envelope may take: nothing overtakes it meanwhile
UNANSWERED = 30.0  # seconds, or some round trips, after which the bus has lost an envelope
ROUNDS = 4
STOOD = 1.0  # seconds on the bus that are believed to be usual: an outage counts as no more


class _Flight(Struct):
    """An envelope that the bus has not answered."""

    segment: Segment
    size: int
    flew: int  # how many were on their way then, itself included
    at: float


class UplinkCore:
    """One node's lanes: positions, marks and attempts."""

    def __init__(self, config: UplinkConfig | None = None) -> None:
        self.config: UplinkConfig = config or UplinkConfig()
        self.allowance: Allowance = Allowance()
        self.wait: float = 0.0  # seconds until it is worth asking again without any news; set by `next`
        self.held: int = 0  # lanes that wait for a link that is not metered
        self.bytes: int = 0  # given to the bus
        self.answers: int = 0  # that the bus gave
        self.stored: int = 0  # rows given to the bus that the lake has
        self.pace: Pace | None = None  # of each lane, as the hub said last
        self._lanes: dict[str, UplinkLane] = {}
        self._tables: dict[str, int] = {}  # the turn of each table's last envelope
        self._flights: dict[int, _Flight] = {}
        self._window = Window(self.config.window, self.config.window_bytes)
        self._bucket = Bucket()
        self._turns = Turns(self.config.bulk_share)
        self._turn = 0
        self._looked = float("-inf")

    @property
    def flying(self) -> int:
        """Envelopes that the bus has not answered."""
        return self._window.flying

    def allow(self, allowance: Allowance, now: float) -> None:
        """Set what the link may carry."""
        self.allowance = allowance
        self._bucket.allow(allowance.rate, now)

    def charge(self, size: int, now: float) -> None:
        """Count bytes that went beside envelopes."""
        self._bucket.take(size, now)

    def next(self, source: SegmentSource, now: float) -> Segment | None:
        """Return what to send now: urgent lanes first, every class in its share; None: wait.

        Whoever gets one seals it and calls `sent` before the next question.
        """
        supplies = source.supplies()
        for supply in supplies:
            self._lane(supply.fact, now).look(supply, self._looked, now)
        self._looked = now
        self.wait = float("inf")
        if not self._window.room():
            return None
        ripe = self._ripe(supplies, now)
        if ripe and (pause := self._bucket.wait(now)) > 0:
            self.wait = pause
            return None
        for name in self._turns.order(frozenset(ripe)):
            for supply in sorted(ripe[name], key=self._rank):
                lane = self._lanes[supply.fact]
                segment = source.segment(supply, lane.sent, self._cut(lane))
                if segment is not None:
                    return segment
        return None

    def _lane(self, name: str, now: float) -> UplinkLane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = UplinkLane(now)
        return lane

    def _ripe(self, supplies: "list[Supply] | Any", now: float) -> dict[str, list[Supply]]:
        """Return what may go now by class, and note when more will."""
        config, ripe, held = self.config, dict[str, list[Supply]](), 0
        most, rate = self._ahead(), self.pace and self.pace.rate
        for supply in supplies:
            lane, critical = self._lanes[supply.fact], supply.priority == "critical"
            if supply.last <= lane.sent or not lane.may_send():
                continue
            if self.allowance.metered and not critical:
                held += 1
                continue
            gather = config.gather_critical if critical else config.gather
            free = lane.free_at(most, config.rows, rate)
            at = max(free, lane.ripe_at(config.rows, config.bytes, gather))
            if at <= now:
                ripe.setdefault(_class(supply), []).append(supply)
            else:
                self.wait = min(self.wait, at - now)
        self.held = held
        return ripe

    def _ahead(self) -> float:
        """Return how many rows of a lane may stand between outbox and lake."""
        if self.pace is None:
            return UNTOLD
        return min(self.pace.rows(self._window.base or 0.0), self.config.ahead)

    def _rank(self, supply: Supply) -> tuple[int, float, int]:
        """Order lanes of one class: tables in turn; of one table's lanes the one that has newer rows."""
        lane = self._lanes[supply.fact]
        return self._tables.get(table_of(supply.fact), 0), -lane.grown_at, lane.served

    def _cut(self, lane: UplinkLane) -> int:
        """Return the bytes before compression that an envelope may have on this link."""
        sealed = self._window.size / LEAST
        if self._bucket.rate is not None:
            sealed = min(sealed, self._bucket.rate * CARRY)
        return min(self.config.bytes, max(SHORTEST, round(sealed * lane.shrinks)))

    def sent(self, segment: Segment, size: int, now: float) -> None:
        """Note that a segment was given to the bus as so many bytes."""
        lane = self._lanes[segment.lane.fact]
        self._turn += 1
        lane.served = self._tables[segment.lane.table] = self._turn
        rows = segment.last - segment.first + 1
        lane.measure(rows, len(segment.rows), size)
        lane.forward_to(segment.end)
        lane.stand(segment.end, rows if segment.lost is None else 1, now)
        lane.ahead, lane.sent_at = lane.ahead + 1, now
        self._turns.had(_class(segment), size)
        self._bucket.take(size, now)
        self.bytes += size
        self._flights[id(segment)] = _Flight(segment, size, self._window.sent(size), now)

    def taken(self, segment: Segment, now: float) -> None:
        """Note that the bus has a segment."""
        self.answers += 1
        flight = self._flights.pop(id(segment))
        self._window.taken(flight.size, flight.flew, now - flight.at, now)
        lane = self._lanes[segment.lane.fact]
        lane.delay = REFUSED
        if lane.acked <= lane.mark:
            lane.moved_at = now
        lane.acked = max(lane.acked, segment.end)

    def refused(self, segment: Segment, now: float) -> None:
        """Note that the bus has no room for a segment: its lane waits and starts there again."""
        self.answers += 1
        self._window.refused(self._flights.pop(id(segment)).size)
        lane = self._lanes[segment.lane.fact]
        lane.hold = now + lane.delay
        lane.delay = min(2 * lane.delay, REFUSED_MOST)
        lane.back_to(max(min(lane.sent, segment.begin), lane.mark))

    def overdue(self, now: float) -> bool:
        """Tell whether the bus owes an answer for so long that the connection must be a broken one."""
        oldest = next(iter(self._flights.values()), None)
        return oldest is not None and now - oldest.at > max(UNANSWERED, ROUNDS * (self._window.base or 0.0))

    def attempt(self, fact: str) -> int:
        """Return how often a lane has gone back: part of the message id, or the bus swallows the repeat."""
        return self._lanes[fact].attempt

    def marked(self, mark: Mark, now: float) -> bool:
        """Note how far the lake is; return False for news that is older than what is known.

        A mark goes back only where the table is another one or its lake was restored: then its lane resends.
        """
        lane = self._lane(mark.fact, now)
        known = lane.known
        if known is not None and known.table == mark.table and _age(mark) < _age(known):
            return False
        lane.known = mark
        if mark.reached != lane.mark:
            lane.mark, lane.moved_at, lane.patience, lane.ahead = mark.reached, now, RESEND, 0
        self.stored += lane.stood(lane.mark, now)
        if lane.sent < mark.reached:
            lane.forward_to(mark.reached)
        return True

    def forget_marks(self) -> None:
        """Start from the first row that is there: another hub has to get them all."""
        for lane in self._lanes.values():
            lane.known, lane.mark, lane.patience = None, (0, 0), RESEND
            lane.back_to(lane.mark)

    def begin(self, now: float, *, same_bus: bool) -> None:
        """Start on a new connection: where the same bus's answers ended, or else from the marks."""
        self._flights.clear()
        self._window.reset()
        self.pace = None
        for lane in self._lanes.values():
            lane.back_to(max(lane.mark, lane.acked) if same_bus else lane.mark)
            lane.moved_at = now

    def tick(self, now: float) -> None:
        """Take lanes back whose mark does not follow what the bus has."""
        way = self._window.base or 0.0
        for lane in self._lanes.values():
            slack = ROUNDS * max(way, min(lane.sojourn, STOOD))
            if lane.acked > lane.mark and now - lane.moved_at > max(lane.patience, slack):
                lane.moved_at = now
                lane.patience = min(2 * lane.patience, RESEND_MOST)
                lane.back_to(lane.mark)

    def behind(self) -> dict[str, dict[str, int]]:
        """Return each lane's position, for people."""
        return {
            fact: {
                "sent": lane.sent[1],
                "acked": lane.acked[1] if lane.acked[0] == lane.sent[0] else 0,
                "mark": lane.mark[1],
                "epoch": lane.sent[0],
                "attempt": lane.attempt,
                "standing": lane.standing,
            }
            for fact, lane in self._lanes.items()
        }

    def state(self) -> dict[str, Any]:
        """Return what holds the link back, for people."""
        window = self._window
        return {
            "bytes": self.bytes,
            "flying": window.flying,
            "flying_bytes": window.bytes,
            "window_bytes": round(window.size),
            "rate": self.allowance.rate,
            "metered": self.allowance.metered,
            "held": self.held,
            "pace": None if self.pace is None else self.pace.rate,
        }


def _class(one: Supply | Segment) -> str:
    return one.priority if one.priority in USUAL else "normal"


def _age(mark: Mark) -> tuple[int, int]:
    return mark.generation, mark.version
