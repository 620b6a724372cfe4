"""Who gives way when the outbox is full, or a row has waited for too long (GUARANTEES §3).

What the lake has goes first. Then the policy of the fact that needs the room decides: `shed-oldest` gives up
its own oldest rows, `shed-lowest` the oldest `bulk` and then `normal` rows of any fact, though never more
urgent ones than its own; `refuse` gives up nothing. Critical rows are never shed.
"""

import heapq
import sqlite3
from collections.abc import Iterable, Iterator

from rimward.app.manifest import FactSpec, Keeping
from rimward.edge.outbox.config import OutboxConfig
from rimward.edge.outbox.stock import FROM, Change, Chunk, Key, Stock
from rimward.events import OutboxFull
from rimward.wire import table_of

SLACK = 64  # what is shed at a time is a 64th of the cap, and not a chunk with every commit
EXPIRED = 1024  # chunks expired in one go: commits wait for it
_HEADS = f"select counter, fact, first, last, at, priority, length(body) {FROM} order by first"
_AGES = (
    f"select counter, fact, first, last, at, priority, length(body), ran {FROM} order by first limit :most"
)


class Room:
    """How much room there is, and who makes more."""

    def __init__(self, db: sqlite3.Connection, stock: Stock, config: OutboxConfig) -> None:
        self._db = db
        self._stock = stock
        self._config = config
        self.limit: int = config.max_bytes  # bytes of rows: the cap, or less where the disk has less

    def check(self, spec: FactSpec, nbytes: int) -> None:
        """Tell whether there is room for a row of a fact, or could be made.

        Raises:
            OutboxFull: there is none.
        """
        stock, own, policy = self._stock, spec.keeping.max_bytes, self.policy(spec.priority, spec.keeping)
        waiting = stock.tables.get(spec.table, 0)
        if own is not None and waiting + nbytes > own:
            shed = 0 if policy == "refuse" else stock.sheddable(spec.table, spec.priority, "shed-oldest")
            if waiting + nbytes - shed > own:
                raise OutboxFull(
                    f"outbox: {waiting} bytes of {spec.table} wait, its limit is {own}; "
                    f"one of about {nbytes} bytes is refused"
                )
        missing = stock.bytes + nbytes - self.limit
        if missing > 0 and missing > stock.kept + stock.sheddable(spec.table, spec.priority, policy):
            raise OutboxFull(
                f"outbox: {stock.bytes - stock.kept} bytes wait, the limit is {self.limit}; "
                f"a {spec.priority} fact of about {nbytes} bytes is refused"
            )

    def policy(self, priority: str, keeping: Keeping) -> str:
        """Return who gives way for a fact: for a critical one all that is less urgent, unless it says no."""
        if priority == "critical":
            return "refuse" if keeping.when_full == "refuse" else "shed-lowest"
        return keeping.when_full or self._config.when_full

    def make(self, change: Change, table: str, priority: str, keeping: Keeping, size: int) -> None:
        """Give up what a fact's rows of so many bytes need, as far as its policy lets it."""
        stock, policy = self._stock, self.policy(priority, keeping)
        if keeping.max_bytes is not None and policy != "refuse":
            waiting = stock.tables.get(table, 0) + _moved(change, table)
            self._shed(change, waiting + size - keeping.max_bytes, "shed-oldest", table, priority)
        missing = stock.bytes + change.bytes.total() + size - self.limit
        if missing <= 0:
            return
        missing = self._free(change, missing)
        if missing > 0:
            self._shed(change, missing, policy, table, priority)

    def _free(self, change: Change, missing: int) -> int:
        """Delete what the lake has, the oldest first; return how many bytes are still missing."""
        freed = list[Chunk]()
        for chunk in self._chunks(None, kept=True):
            if missing <= 0:
                break
            freed.append(chunk)
            missing -= chunk.size
        change.drop(freed, kept=True)
        return missing

    def _shed(self, change: Change, missing: int, policy: str, table: str, priority: str) -> None:
        if missing <= 0 or policy == "refuse":
            return
        missing = max(missing, min(self._config.max_bytes // SLACK, 1 << 20))
        own = table if policy == "shed-oldest" else None
        passes = (
            [("bulk", "normal")] if own else [("bulk",)] if priority == "bulk" else [("bulk",), ("normal",)]
        )
        for classes in passes:
            shed = list[Chunk]()
            for chunk in self._chunks(own, kept=False):
                if missing <= 0:
                    break
                if chunk.priority in classes:
                    shed.append(chunk)
                    missing -= chunk.size
            give_up(change, shed, "shed")

    def _chunks(self, table: str | None, *, kept: bool) -> Iterator[Chunk]:
        """Yield chunks of one table, or of all, that the lake has, or has not, by epoch and age."""
        lanes = [
            key for key, held in self._stock.lanes.items() if held.bytes and table in (None, table_of(key[1]))
        ]
        return heapq.merge(
            *(self._of(key, kept=kept) for key in lanes), key=lambda one: (one.counter, one.at)
        )

    def _of(self, key: Key, *, kept: bool) -> Iterator[Chunk]:
        reached = self._stock.reached(key)
        start = 1 if kept else reached + 1
        for row in self._db.execute(_HEADS, {"counter": key[0], "fact": key[1], "seq": start}):
            chunk = Chunk(*row)
            if kept and chunk.last > reached:
                return
            yield chunk

    def expire(self, change: Change, keepings: dict[str, Keeping], ran: int) -> int:
        """Give up rows that have waited longer than their fact's `max_age`; return how many chunks.

        `ran` is the writer's running time, ns: a clock that jumps and a node that was off age nothing.
        """
        old = self.old(keepings, ran, EXPIRED)
        give_up(change, old, "expired")
        return len(old)

    def old(self, keepings: dict[str, Keeping], ran: int, most: int) -> list[Chunk]:
        """Return chunks that have waited too long, the oldest of each lane."""
        found = list[Chunk]()
        for key, held in self._stock.lanes.items():
            keeping = keepings.get(table_of(key[1]))
            if keeping is None or keeping.max_age is None or held.bytes <= held.kept:
                continue
            before = ran - round(keeping.max_age * 1e9)
            where = {"counter": key[0], "fact": key[1], "seq": self._stock.reached(key) + 1, "most": most}
            for *row, born in self._db.execute(_AGES, where):
                chunk = Chunk._make(row)
                if born > before or chunk.priority == "critical":
                    break
                found.append(chunk)
        return found


def give_up(change: Change, chunks: list[Chunk], reason: str) -> None:
    """Delete chunks that the lake has not, and record their loss; a lane's come in its order."""
    change.drop(chunks, kept=False)
    for key, first, last in _spans(chunks):
        change.lose(key, first, last, reason)


def _spans(chunks: Iterable[Chunk]) -> Iterator[tuple[Key, int, int]]:
    """Yield ranges of rows, those that touch as one."""
    open_: dict[Key, tuple[int, int]] = {}
    for chunk in chunks:
        key = chunk[:2]
        first, last = open_.get(key, (chunk.first, chunk.first - 1))
        if chunk.first != last + 1:
            yield key, first, last
            first = chunk.first
        open_[key] = first, chunk.last
    for key, (first, last) in open_.items():
        yield key, first, last


def _moved(change: Change, table: str) -> int:
    """Return what a change has done so far to the bytes of a table that wait."""
    return sum(size - change.kept[key] for key, size in change.bytes.items() if table_of(key[1]) == table)
