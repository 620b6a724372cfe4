"""What commits take, and how fast lanes with a backlog may send for it. No clock of its own.

More than the lake takes soon would only stand on the bus, where whatever is new waits behind it: every lane
with a backlog is told its share of what the lake takes.
"""

from collections.abc import Iterable, Mapping

from rimward.wire import Pace

KEEP = 0.95  # of what was known of commits stays with each one: the last twenty count
QUICKEST = 3e-6  # seconds of a row, at least: one core decodes no more
FAIR = 0.03  # seconds that the rows of one commit may take; twice the rest of it, where that is more
LEAST, FULL = 8_000, 64_000  # rows of a commit
STANDING = 0.15  # seconds of backlogs that may stand between outboxes and lake
COMMITS = 3  # that many commits of a fair size where these take more
SLOWEST = 20_000.0  # rows a second that are told until more is known
CROWD = 400  # rows that a lane brings at once if more of it waits in its outbox, about
KEPT = 1.0  # seconds for which a lane counts, or as long as a turn of all lanes takes


class Cost:
    """Commits as a straight line: so many seconds, and so many for each row; by least squares."""

    def __init__(self) -> None:
        self._count = self._rows = self._seconds = self._squares = self._products = 0.0

    def took(self, rows: int, seconds: float) -> None:
        """Hear how long a commit took."""
        self._count = self._count * KEEP + 1
        self._rows = self._rows * KEEP + rows
        self._seconds = self._seconds * KEEP + seconds
        self._squares = self._squares * KEEP + rows * rows
        self._products = self._products * KEEP + rows * seconds

    @property
    def known(self) -> bool:
        """Whether there was any."""
        return self._count > 0

    def line(self) -> tuple[float, float]:
        """Return the seconds of a commit, and of each row."""
        if not self._rows:
            return 0.0, QUICKEST
        rows, seconds = self._rows / self._count, self._seconds / self._count
        spread = self._squares / self._count - rows * rows
        row = seconds / rows / 4  # where all are of one size: others are tried
        if spread > (rows / 4) ** 2:
            row = (self._products / self._count - rows * seconds) / spread
        row = min(max(row, QUICKEST), seconds / rows)
        return seconds - row * rows, row

    def fair(self) -> float:
        """Return the rows of a commit that keeps others waiting for a fair time."""
        fixed, row = self.line()
        return min(max(max(FAIR, 2 * fixed) / row, LEAST), FULL)


class Pacing:
    """What is told to nodes beside their marks, and how many rows a commit takes."""

    def __init__(self) -> None:
        self.cost: Cost = Cost()
        self.portion: float = LEAST  # rows of a commit: what is fair, and at most twice what was seen
        self._most: float = 0.0  # rows of the largest commit of late
        self._busy: dict[tuple[str, str], float] = {}  # lanes with a backlog: when they were last seen

    def worked(self, rows: int, seconds: float) -> None:
        """Hear how long a commit took."""
        if rows:
            self.cost.took(rows, seconds)
            self._most = max(rows, KEEP * self._most)
            self.portion = min(self.cost.fair(), max(2 * self._most, LEAST))

    @property
    def rate(self) -> float:
        """Rows a second that the lake takes in commits of that size."""
        fixed, row = self.cost.line()
        return self.portion / (fixed + row * self.portion)

    @property
    def standing(self) -> float:
        """Seconds that rows may stand before they are committed."""
        return max(STANDING, COMMITS * self.portion / self.rate)

    def took(self, taken: Mapping[tuple[str, str], int], left: Iterable[tuple[str, str]], now: float) -> None:
        """Hear how many rows of which lanes a commit takes, and of which more waits."""
        for key in (*left, *(key for key, rows in taken.items() if rows >= CROWD)):
            self._busy.pop(key, None)
            self._busy[key] = now
        turn = 1.5 * len(self._busy) * CROWD / max(SLOWEST, self.rate)
        for key, seen in list(self._busy.items()):
            if now - seen <= max(KEPT, turn):
                break
            del self._busy[key]

    @property
    def backlogs(self) -> int:
        """How many lanes have one."""
        return len(self._busy)

    def pace(self) -> Pace:
        """Return what each of them may send."""
        rate = self.rate if self.cost.known else SLOWEST
        return Pace(round(max(rate / max(1, len(self._busy)), 1.0), 1), round(self.standing, 3))
