"""Rows behind the lake's mark leave the outbox; those that a restored lake lacks and nobody has are lost."""

import sqlite3
from typing import NamedTuple

from rimward.edge.outbox.stock import FROM, Change, Chunk, Key, Stock
from rimward.wire import Mark

MOST = 1024  # chunks deleted in one go: commits wait for it
_LOST = (
    "select counter, lane, first from lost "
    "where lane = ? and (counter < ? or counter = ? and last <= ?) and at < ?"
)
_RECORDS = (
    "select first, last from lost where counter = :counter and lane = :fact and last >= :seq "
    "and first <= :end order by first"
)


class Plan(NamedTuple):
    """What a mark lets go."""

    chunks: list[Chunk]
    lost: list[tuple[int, str, int]]

    def carry_out(self, change: Change) -> None:
        """Delete it."""
        change.drop(self.chunks, kept=True)
        change.db.executemany("delete from lost where counter = ? and lane = ? and first = ?", self.lost)


def plan(db: sqlite3.Connection, stock: Stock, lane: str, before: int, most: int, limit: int) -> Plan:
    """Return what may go of a lane: committed before a wall time, ns, or until rows take `most` bytes."""
    mark, left = stock.marks[lane], stock.bytes
    found = list[Chunk]()
    lanes = sorted(key for key, held in stock.lanes.items() if key[1] == lane and held.kept)
    for key in lanes:
        rows = db.execute(
            "select counter, fact, first, last, at, priority, length(body) from chunk "
            "where counter = ? and fact = ? and last <= ? order by first limit ?",
            (*key, stock.reached(key), max(0, limit - len(found))),
        ).fetchall()
        for chunk in map(Chunk._make, rows):
            if chunk.at >= before and left <= most:
                break
            found.append(chunk)
            left -= chunk.size
    lost = db.execute(_LOST, (lane, mark.counter, mark.counter, mark.seq, before)).fetchall()
    return Plan(found, lost)


def misses(db: sqlite3.Connection, stock: Stock, mark: Mark) -> bool:
    """Tell whether rows beyond a mark are no longer here."""
    lanes = [key for key in stock.lanes if key[1] == mark.fact]
    return any(holes(db, key, stock.reached(key) + 1, stock.last(key)) for key in lanes)


def miss(change: Change, stock: Stock, mark: Mark) -> None:
    """Record rows beyond a mark that are no longer here: its lake went back behind what was freed."""
    for key in sorted(key for key in stock.lanes if key[1] == mark.fact):
        for first, last in holes(change.db, key, stock.reached(key) + 1, stock.last(key)):
            change.lose(key, first, last, "forgotten")


def holes(db: sqlite3.Connection, key: Key, start: int, last: int) -> list[tuple[int, int]]:
    """Return the ranges before a lane's first chunk that nothing says are lost: rows go oldest first."""
    where = {"counter": key[0], "fact": key[1], "seq": start, "end": last}
    head = db.execute(f"select first {FROM} order by first limit 1", where).fetchone()
    where["end"] = last = last if head is None else head[0] - 1
    spans = db.execute(_RECORDS, where).fetchall()
    found = list[tuple[int, int]]()
    for begin, end in [*spans, (last + 1, last + 1)]:
        if begin > start:
            found.append((start, begin - 1))
        start = max(start, end + 1)
    return found
