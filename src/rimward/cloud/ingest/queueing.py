"""What was taken off the bus and is not committed yet, and whose turn it is. No I/O, no clock of its own.

Tables take turns by what they had of the lake's time (start-time fair queueing: Goyal, Vin and Cheng, 1996),
lanes of a table envelope by envelope, and no commit takes much longer than a tenth of a second: so what is
new of one lane waits for one portion of a backlog, and not for all of it (docs/adr/0112).
"""

from collections import deque

from rimward.cloud.ingest.pacing import FULL, Pacing
from rimward.cloud.ingest.reading import Arrival

MOST = 512  # envelopes of a priority that wait here; the others stay on the bus
MOST_BYTES = 16 << 20  # the same in bytes of their rows
MOST_SECONDS = 5.0  # the same by what the lake takes: the bus brings again what it hears nothing of for 30 s
TABLES = 4096  # names of tables: a node may send any; those for which nothing waits are forgotten
WEIGHTS = {"critical": 8, "normal": 8, "bulk": 2}  # of the lake's time, while all have something to commit
URGENCY = {"critical": 0, "normal": 1, "bulk": 2}  # whoever's turn it is at the same time
GATHER = {"critical": 0.1, "normal": 1.0, "bulk": 2.0}  # of the time that the configuration says
FIXED = 4_000  # rows that take as long as what every commit takes, about

Key = tuple[str, str]  # node and lane
Batch = tuple[str, list[Arrival]]  # a table, and what of it is to be committed at once


class _Table:
    """What waits for one table."""

    def __init__(self) -> None:
        self.lanes: dict[Key, deque[Arrival]] = {}  # the first is the one whose turn it is
        self.rows: int = 0
        self.tag: float = 0.0  # of the lake's time, when its next commit is due
        self.last: float = float("-inf")  # the end of its last commit
        self.priority: str = "normal"


class Queue:
    """One share's envelopes between bus and lake."""

    def __init__(self, gather: float, pacing: Pacing) -> None:
        """`gather` is the seconds that a commit of normal rows waits for more."""
        self.wait: float = float("inf")  # seconds until `next` may have something without any news
        self.pacing: Pacing = pacing
        self._gather = gather
        self._tables: dict[str, _Table] = {}
        self._virtual = 0.0
        self._count = dict.fromkeys(WEIGHTS, 0)
        self._bytes = dict.fromkeys(WEIGHTS, 0)
        self._rows = dict.fromkeys(WEIGHTS, 0)

    def room(self, priority: str) -> int:
        """Return how many more envelopes of a priority it takes."""
        rows = max(FULL, MOST_SECONDS * self.pacing.rate) if self.pacing.cost.known else FULL
        if self._bytes[priority] >= MOST_BYTES or self._rows[priority] >= rows:
            return 0
        return MOST - self._count[priority]

    def offer(self, fact: str, priority: str, arrivals: list[Arrival]) -> None:
        """Take envelopes of one table that came by a priority's stream."""
        table = self._table(fact)
        if not table.lanes:
            table.tag = max(table.tag, self._virtual)
        table.priority = priority
        for arrival in arrivals:
            arrival.priority = priority
            lane = arrival.envelope.lane
            table.lanes.setdefault((lane.node, lane.fact), deque()).append(arrival)
            table.rows += arrival.rows
            self._count[priority] += 1
            self._bytes[priority] += arrival.size
            self._rows[priority] += arrival.rows

    def _table(self, fact: str) -> _Table:
        if fact not in self._tables and len(self._tables) >= TABLES:
            self._tables = {name: table for name, table in self._tables.items() if table.lanes}
        return self._tables.setdefault(fact, _Table())

    def next(self, now: float) -> Batch | None:
        """Return what is to be committed now; None: wait."""
        ready: list[tuple[float, int, str]] = []
        self.wait = float("inf")
        for fact, table in self._tables.items():
            if not table.lanes:
                continue
            due = table.last + self._gather * GATHER[table.priority]
            if table.rows >= self.pacing.portion or due <= now:
                ready.append((table.tag, URGENCY[table.priority], fact))
            else:
                self.wait = min(self.wait, due - now)
        if not ready:
            return None
        tag, _, fact = min(ready)
        self._virtual = max(self._virtual, tag)
        return fact, self._portion(self._tables[fact], now)

    def _portion(self, table: _Table, now: float) -> list[Arrival]:
        """Take a portion of a table, its lanes in turn."""
        found, rows = list[Arrival](), 0
        taken: dict[Key, int] = {}
        while table.lanes and rows < self.pacing.portion:
            key = next(iter(table.lanes))
            waiting = table.lanes.pop(key)
            arrival = waiting.popleft()
            if waiting:
                table.lanes[key] = waiting  # behind the others
            found.append(arrival)
            rows += arrival.rows
            taken[key] = taken.get(key, 0) + arrival.rows
            self._left(table, arrival)
        table.tag += (FIXED + rows) / WEIGHTS[table.priority]
        self.pacing.took(taken, table.lanes, now)
        return found

    def _left(self, table: _Table, arrival: Arrival) -> None:
        table.rows -= arrival.rows
        self._count[arrival.priority] -= 1
        self._bytes[arrival.priority] -= arrival.size
        self._rows[arrival.priority] -= arrival.rows

    def done(self, batch: Batch, seconds: float, now: float) -> None:
        """Hear how long a commit took, which has just ended."""
        table, rows = self._table(batch[0]), sum(arrival.rows for arrival in batch[1])
        table.last = now
        self.pacing.worked(rows, seconds)

    def drop(self, fact: str) -> list[Arrival]:
        """Give back all that waits for a table, each lane's in its order: the bus brings it again."""
        table = self._tables[fact]
        found = [arrival for waiting in table.lanes.values() for arrival in waiting]
        table.lanes.clear()
        for arrival in found:
            self._left(table, arrival)
        return found

    def drop_all(self) -> list[Arrival]:
        """Give back all that waits."""
        return [arrival for fact in self._tables for arrival in self.drop(fact)]
