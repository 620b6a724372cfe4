"""What lies in the outbox, lane by lane: how much, and how much of it the lake has.

The numbers in memory follow the file: a change is gathered while its transaction runs and counts when that
is committed. The loop reads single numbers of it while the writer's thread changes them.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from rimward.edge.outbox.records import Forward
from rimward.wire import Mark, table_of

Key = tuple[int, str]  # an epoch's counter and a lane's name
INTO_LANE = (
    "insert into lane values ({}) on conflict (counter, fact) do update set "
    "last_seq = excluded.last_seq, bytes = bytes + excluded.bytes, priority = excluded.priority"
)
INTO_TALLY = (
    "insert into tally values ({}) on conflict (lane, cause) do update set rows = rows + excluded.rows"
)
_LANES, TALLY = INTO_LANE.format("?, ?, ?, ?, ?"), INTO_TALLY.format("?, ?, ?")
_GROWN = (
    "update lost set last = ?, rows = rows + ? where counter = ? and lane = ? and reason = ? and last = ?"
)
# The chunk that holds a row, or else the first behind it, and all that follow.
FROM = (
    "from chunk where counter = :counter and fact = :fact and first >= coalesce((select max(first) "
    "from chunk where counter = :counter and fact = :fact and first <= :seq), 0) and last >= :seq "
)


class Held(Struct):
    """One lane of one epoch."""

    last: int = 0  # number of its newest row
    priority: str = "normal"  # of its newest rows
    bytes: int = 0
    kept: int = 0  # of these: chunks that the lake has


class Chunk(NamedTuple):
    """Rows of a lane that were committed together, without their bytes."""

    counter: int
    lane: str
    first: int
    last: int
    at: int  # wall ns
    priority: str
    size: int


class Change:
    """What one transaction does to lanes and tallies; `write` is its last step."""

    def __init__(self, db: sqlite3.Connection, stock: "Stock", now: int) -> None:
        self.db = db
        self.now = now  # wall ns
        self._stock = stock
        self.lasts: dict[Key, tuple[int, str]] = {}  # newest row and its priority
        self.bytes: Counter[Key] = Counter()
        self.kept: Counter[Key] = Counter()
        self.tallies: Counter[tuple[str, str]] = Counter()

    def note(self, key: Key, newest: Forward, size: int) -> None:
        """Note rows that a lane has got."""
        self.lasts[key] = newest.seq, newest.priority
        self.bytes[key] += size

    def drop(self, chunks: Iterable[Chunk], *, kept: bool) -> None:
        """Delete chunks; `kept`: the lake has them."""
        gone = list(chunks)
        self.db.executemany(
            "delete from chunk where counter = ? and fact = ? and first = ?", [one[:3] for one in gone]
        )
        for one in gone:
            self.bytes[one[:2]] -= one.size
            if kept:
                self.kept[one[:2]] -= one.size

    def lose(self, key: Key, first: int, last: int, reason: str) -> None:
        """Record that rows which the lake has not will never come, next to a record that ends before them.

        What the lake is known to have of them is not counted.
        """
        rows = max(0, last - max(first - 1, self._stock.reached(key)))
        self.tallies[key[1], reason] += rows
        where = (*key, reason, first - 1)
        grown = self.db.execute(_GROWN, (last, rows, *where))
        if not grown.rowcount:
            self.db.execute(
                "insert into lost values (?, ?, ?, ?, ?, ?, ?)", (*key, first, last, reason, rows, self.now)
            )

    def write(self) -> None:
        """Bring the lanes' numbers and the tallies up to date in the file."""
        lanes = {key: self._stock.place(key) for key in self.bytes if key not in self.lasts} | self.lasts
        if lanes:
            self.db.executemany(
                _LANES, [(*key, last, self.bytes[key], priority) for key, (last, priority) in lanes.items()]
            )
        if self.tallies:
            self.db.executemany(TALLY, [(*place, rows) for place, rows in self.tallies.items() if rows])


class Stock:
    """Every lane as the file has it, and the newest mark of each."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.lanes: dict[Key, Held] = {}
        self.marks: dict[str, Mark] = {}
        self.bytes: int = 0
        self.kept: int = 0  # of these: chunks that the lake has
        self.tables: dict[str, int] = {}  # bytes that wait, by table
        self.classes: dict[str, int] = {"critical": 0, "normal": 0, "bulk": 0}  # the same, by priority
        self.load()

    def load(self) -> None:
        """Take over what the file says, after it was changed in other ways than by a `Change`."""
        rows = self._db.execute("select counter, fact, last_seq, priority, bytes from lane").fetchall()
        self.lanes.clear()
        self.bytes = self.kept = 0
        self.tables = dict.fromkeys((table_of(lane) for _, lane, *_ in rows), 0)
        self.classes = dict.fromkeys(self.classes, 0)
        for counter, lane, last, priority, _ in rows:
            self.lanes[counter, lane] = Held(last, priority)
        for counter, lane, *_, size in rows:
            self._shift((counter, lane), size, 0)
        marks, self.marks = self.marks, {}
        for mark in marks.values():
            self.mark(mark)

    def place(self, key: Key) -> tuple[int, str]:
        """Return a lane's newest row and its priority."""
        held = self.lanes[key]
        return held.last, held.priority

    def last(self, key: Key) -> int:
        """Return the number of a lane's newest row; 0 where it has none yet."""
        held = self.lanes.get(key)
        return 0 if held is None else held.last

    def reached(self, key: Key) -> int:
        """Return the last row of a lane's epoch that the lake is known to have; 0: none of it."""
        counter, lane = key
        mark = self.marks.get(lane)
        if mark is None or counter > mark.counter:
            return 0
        return mark.seq if counter == mark.counter else self.last(key)

    def waits(self, lane: str) -> bool:
        """Tell whether a lane has rows that the lake has not."""
        return any(held.bytes > held.kept for (_, name), held in self.lanes.items() if name == lane)

    def sheddable(self, table: str, priority: str, policy: str) -> int:
        """Return how many bytes may be shed for a row, besides those that the lake has."""
        if policy == "shed-oldest":
            return 0 if priority == "critical" else self.tables.get(table, 0)
        if policy == "shed-lowest":
            return self.classes["bulk"] + (self.classes["normal"] if priority != "bulk" else 0)
        return 0

    def apply(self, change: Change) -> None:
        """Count a change that is committed."""
        for key, (last, priority) in change.lasts.items():
            held = self.lanes.get(key)
            if held is None:
                self.lanes[key] = Held(last, priority)
                self.tables.setdefault(table_of(key[1]), 0)
            elif held.priority != priority:
                waiting = held.bytes - held.kept
                self.classes[held.priority] = self.classes.get(held.priority, 0) - waiting
                self.classes[priority] = self.classes.get(priority, 0) + waiting
                held.last, held.priority = last, priority
            else:
                held.last = last
        for key, size in change.bytes.items():
            self._shift(key, size, change.kept[key])

    def mark(self, mark: Mark) -> None:
        """Note how far the lake is with a lane."""
        before, self.marks[mark.fact] = self.marks.get(mark.fact), mark
        if before is not None and before.reached == mark.reached:
            return
        for key, held in self.lanes.items():
            if key[1] == mark.fact:
                self._shift(key, 0, self._kept(key, held, before) - held.kept)

    def _kept(self, key: Key, held: Held, before: Mark | None) -> int:
        """Return the bytes of a lane's chunks that the lake has; those counted before are not read again."""
        mark = self.marks[key[1]]
        if key[0] != mark.counter:
            return held.bytes if key[0] < mark.counter else 0
        start = base = 0
        if before is not None and before.counter == mark.counter and before.seq < mark.seq:
            start, base = before.seq, held.kept
        counted = self._db.execute(
            f"select coalesce(sum(length(body)), 0) {FROM} and last <= :end",
            {"counter": key[0], "fact": key[1], "seq": start + 1, "end": mark.seq},
        )
        return base + counted.fetchone()[0]

    def _shift(self, key: Key, size: int, kept: int) -> None:
        held = self.lanes[key]
        held.bytes += size
        held.kept += kept
        self.bytes += size
        self.kept += kept
        self.tables[table_of(key[1])] += size - kept
        self.classes[held.priority] = self.classes.get(held.priority, 0) + size - kept
