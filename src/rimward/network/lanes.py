"""One lane of an uplink: how far it was sent, how far the lake is, and which of its rows are ripe."""

from collections import deque

from rimward.wire import Mark, Place, Supply

RESEND = 2.0  # seconds without a moving mark before a lane goes back to it; doubled up to RESEND_MOST
RESEND_MOST = 30.0
REFUSED = 0.25  # seconds that a lane waits which the bus refused; doubled up to REFUSED_MOST
REFUSED_MOST = 4.0
DOUBT = 16  # envelopes past the mark once a lane had to go back, until its mark moves
LOOKS = 64  # times of arrival kept apart; what comes later counts as old as the last of them
UNTOLD = 16_384  # rows that a lane may have on the bus while no hub says how many its lake takes
LONG_AGO, NEVER = float("-inf"), float("inf")


class UplinkLane:
    """Rows up to `mark` are in the lake, up to `acked` on the bus, and up to `sent` given to it."""

    __slots__ = (
        "_looks",
        "_standing",
        "acked",
        "ahead",
        "attempt",
        "delay",
        "grown_at",
        "hold",
        "known",
        "mark",
        "moved_at",
        "patience",
        "row_bytes",
        "seen",
        "sent",
        "sent_at",
        "served",
        "shrinks",
        "sojourn",
        "standing",
    )

    def __init__(self, now: float) -> None:
        self.sent: Place = (0, 0)
        self.acked: Place = (0, 0)
        self.mark: Place = (0, 0)
        self.seen: Place = (0, 0)  # the last row that its source had
        self.grown_at: float = LONG_AGO  # when that rose
        self._looks: deque[tuple[Place, float]] = deque()  # rows up to a place have waited since
        self.known: Mark | None = None
        self.moved_at: float = now
        self.patience: float = RESEND
        self.attempt: int = 0
        self.ahead: int = 0  # envelopes since the lane went back
        self.hold: float = LONG_AGO  # no envelope before this time
        self.delay: float = REFUSED
        self.sent_at: float = LONG_AGO  # when its last envelope went
        self.served: int = 0  # the turn of its last envelope
        self._standing: deque[tuple[Place, int, float]] = deque()  # beyond the mark: end, rows, when
        self.standing: int = 0  # rows that were given to the bus and are not known to be in the lake
        self.sojourn: float = 0.0  # seconds from one to the other, as the last envelopes took
        self.row_bytes: float = 0.0  # of a row before compression, as the last envelopes had
        self.shrinks: float = 4.0  # times that compression makes them smaller

    def look(self, supply: Supply, looked: float, now: float) -> None:
        """Note how far its rows go now; those that are new came after the look before."""
        if supply.last <= self.seen:
            return
        if len(self._looks) < LOOKS:
            self._looks.append((supply.last, looked))
        else:
            self._looks[-1] = (supply.last, self._looks[-1][1])
        self.seen, self.grown_at = supply.last, now

    def ripe_at(self, rows: int, size: int, gather: float) -> float:
        """Return when its next envelope may go: once it is full, or its first row has waited for `gather`."""
        if not self._looks or self.seen <= self.sent:
            return float("inf")
        waiting = self.waiting
        if waiting >= rows or waiting * self.row_bytes >= size:
            return self.hold
        return max(self.hold, self._looks[0][1] + gather)

    def may_send(self) -> bool:
        """Tell whether it has a turn: one whose mark does not follow sends little, and not for ever."""
        return self.patience <= RESEND or self.ahead < DOUBT

    def stand(self, end: Place, rows: int, now: float) -> None:
        """Note an envelope that was given to the bus."""
        self._standing.append((end, rows, now))
        self.standing += rows

    def stood(self, mark: Place, now: float) -> int:
        """Note that the lake has rows up to a mark; return how many of those that were given to the bus."""
        before = self.standing
        while self._standing and self._standing[0][0] <= mark:
            _, rows, at = self._standing.popleft()
            self.standing -= rows
            self.sojourn += (now - at - self.sojourn) / 8
        return before - self.standing

    def free_at(self, most: float, full: int, rate: float | None) -> float:
        """Return when the next envelope may go: one always may, others while fewer than `most` rows stand.

        Where `most` is less than an envelope, one that is `full` waits for its turn by `rate`, rows a second.
        """
        if self._standing:
            return LONG_AGO if self.standing < most else NEVER
        if rate is None or most >= full or self.waiting < full:
            return LONG_AGO
        return self.sent_at + full / rate

    @property
    def waiting(self) -> int:
        """How many of its rows wait to be sent, of its newest epoch."""
        return max(0, self.seen[1] - (self.sent[1] if self.seen[0] == self.sent[0] else 0))

    def forward_to(self, place: Place) -> None:
        """Note that rows up to a place were given to the bus, or need not be."""
        self.sent = place
        while self._looks and self._looks[0][0] <= place:
            self._looks.popleft()

    def back_to(self, place: Place) -> None:
        """Start again from a place; the repeat is another attempt, or the bus would swallow it."""
        if self.sent > place:
            self._looks.appendleft((self.sent, LONG_AGO))
            self.sent, self.acked = place, min(self.acked, place)
            self.attempt += 1
            self.ahead = 0
            while self._standing and self._standing[-1][0] > place:
                self.standing -= self._standing.pop()[1]

    def measure(self, rows: int, plain: int, sealed: int) -> None:
        """Take the sizes of an envelope, for guesses about the next."""
        if plain:
            one = plain / rows
            self.row_bytes = one if not self.row_bytes else self.row_bytes + (one - self.row_bytes) / 8
            self.shrinks += (plain / max(1, sealed) - self.shrinks) / 8
