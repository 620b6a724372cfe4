"""What can be read of a damaged outbox, copied under its old identities; what can't is recorded as lost.

A page that is damaged ends a scan, so each lane is read from every place at which it can be entered. A
chunk counts as read when its checksum fits. Cells and dead letters in the middle of a damaged stretch are
gone unseen: nothing numbers them.
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from rimward.edge.outbox.freeing import holes
from rimward.edge.outbox.stock import TALLY, Key
from rimward.wire import Mark, Marks

CORRUPT = "corrupt"
# Each small table's columns and its key, by which it can be read from both ends.
_TABLES = {
    "epoch": ("counter, nonce", "counter"),
    "settled": ("fact, rows", "fact"),
    "lost": ("counter, lane, first, last, reason, rows, at", "counter, lane, first"),
    "tally": ("lane, cause, rows", "lane, cause"),
    "keeping": ("fact, priority, body", "fact"),
    "cell": ("space, key, value", "space, key"),
    "dead": ("id, at, bytes, body", "id"),
    "meta": ("key, value", "key"),
}
_CHUNKS = (
    "select first, last, at, priority, schema, crc, body, {ran} from chunk "
    "where counter = ? and fact = ? and first >= ? order by first"
)
_NEXT = "select counter, fact from chunk where (counter, fact) > (?, ?) order by counter, fact limit 1"


def salvage(damaged: Path, fresh: sqlite3.Connection, marks: Marks, now: int) -> None:
    """Fill a new file, in one transaction, with all that is whole; `now` is the wall clock, ns.

    Raises:
        sqlite3.Error: the new file can't be written.
    """
    with closing(sqlite3.connect(f"file:{damaged}?mode=ro", uri=True, isolation_level=None)) as old:
        fresh.execute("begin immediate")
        whole = {name: _copy(old, fresh, name, *columns) for name, columns in _TABLES.items()}
        if not whole["tally"]:
            fresh.execute("update meta set value = ? where key = 'id'", (os.urandom(16).hex(),))
        reached = {mark.fact: mark for mark in marks.marks}
        for key, last in sorted(_lanes(old).items()):
            _lane(old, fresh, key, last, reached.get(key[1]), now)
        fresh.execute("commit")


def _copy(old: sqlite3.Connection, fresh: sqlite3.Connection, name: str, columns: str, key: str) -> bool:
    """Copy a table's rows, those behind a damaged stretch from the end; return whether there was none."""
    places = ",".join("?" * len(columns.split(",")))
    insert = f"insert or replace into {name} ({columns}) values ({places})"  # noqa: S608 (names from above)
    for direction in ("asc", "desc"):
        order = ", ".join(f"{column} {direction}" for column in key.split(", "))
        try:
            for row in old.execute(f"select {columns} from {name} order by {order}"):  # noqa: S608 (the same)
                fresh.execute(insert, row)
        except sqlite3.OperationalError:
            return False  # an older file has no such table
        except sqlite3.DatabaseError:
            continue
        return direction == "asc"
    return False


def _lanes(old: sqlite3.Connection) -> dict[Key, int]:
    """Return every lane that the file names, with its last row as far as that is known."""
    found: dict[Key, int] = {}
    for direction in ("", " desc"):
        order = f"counter{direction}, fact{direction}"
        try:
            rows = old.execute(f"select counter, fact, last_seq from lane order by {order}")  # noqa: S608 (as above)
            for counter, fact, last in rows:
                found[counter, fact] = last
        except sqlite3.DatabaseError:
            continue
        return found
    place: Key = (0, "")
    try:
        while (row := old.execute(_NEXT, place).fetchone()) is not None:
            place = (row[0], row[1])
            found.setdefault(place, 0)
    except sqlite3.DatabaseError:
        pass  # lanes beyond it are in neither table
    return found


def _lane(
    old: sqlite3.Connection, fresh: sqlite3.Connection, key: Key, last: int, mark: Mark | None, now: int
) -> None:
    """Copy one lane's chunks, and record what is missing beyond the lake's mark as lost."""
    fresh.execute("insert or ignore into epoch values (?, ?)", (key[0], int.from_bytes(os.urandom(4), "big")))
    size, priority = 0, "normal"
    for row in _chunks(old, key, last):
        first, end, at, priority, schema, crc, body, ran = row
        fresh.execute(
            "insert or replace into chunk values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, first, end, at, priority, schema, crc, body, ran),
        )
        size, last = size + len(body), max(last, end)
    fresh.execute("insert into lane values (?, ?, ?, ?, ?)", (*key, last, size, priority))
    start = 1
    if mark is not None and (nonce := _nonce(fresh, mark.counter)) is not None and nonce == mark.nonce:
        start = 1 if key[0] > mark.counter else last + 1 if key[0] < mark.counter else mark.seq + 1
    lost = 0
    for begin, end in _all_holes(fresh, key, start, last):
        lost += end - begin + 1
        fresh.execute(
            "insert into lost values (?, ?, ?, ?, ?, ?, ?)", (*key, begin, end, CORRUPT, end - begin + 1, now)
        )
    if lost:
        fresh.execute(TALLY, (key[1], CORRUPT, lost))


def _all_holes(fresh: sqlite3.Connection, key: Key, start: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield every range from a row on that neither a chunk nor a record covers."""
    while start <= last:
        yield from holes(fresh, key, start, last)
        ends = fresh.execute(
            "select max(last) from chunk where counter = ? and fact = ? and first = ("
            "select min(first) from chunk where counter = ? and fact = ? and last >= ?)",
            (*key, *key, start),
        ).fetchone()[0]
        start = last + 1 if ends is None else ends + 1


def _chunks(old: sqlite3.Connection, key: Key, last: int) -> Iterator[tuple[Any, ...]]:
    """Yield a lane's chunks whose checksum fits, entering it again behind every damaged stretch."""
    newer = old.execute("select 1 from pragma_table_info('chunk') where name = 'ran'").fetchone()
    query = _CHUNKS.format(ran="ran" if newer else "0")

    def readable(start: int) -> bool:
        try:
            old.execute(f"{query} limit 1", (*key, start)).fetchone()
        except sqlite3.DatabaseError:
            return False
        return True

    start = 1
    while True:
        try:
            for row in old.execute(query, (*key, start)):
                start = row[1] + 1
                if zlib.crc32(row[6]) == row[5]:
                    yield row
        except sqlite3.DatabaseError:
            behind = _first(readable, start, max(last, start + (1 << 20)))
            if behind is None:
                return
            start = behind
        else:
            return


def _first(readable: Callable[[int], bool], start: int, last: int) -> int | None:
    """Return a row behind `start` from which can be read, the first as far as halving finds it."""
    step = 1
    while not readable(start + step):
        if start + step > last:
            return None
        step *= 2
    low, high = start + step // 2, start + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if readable(middle) else (middle, high)
    return high


def _nonce(fresh: sqlite3.Connection, counter: int) -> int | None:
    row = fresh.execute("select nonce from epoch where counter = ?", (counter,)).fetchone()
    return None if row is None else row[0]
