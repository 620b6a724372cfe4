"""Epochs whose counter another disk has used get one above all that the hub knows (GUARANTEES §2).

What the lake is known to have of a lane stays where it is, for a lake that is restored. Whole lanes keep
their numbers; of a lane that the lake has in part, what is left is numbered from 1 again.
"""

import sqlite3
import zlib
from collections.abc import Iterable

import msgspec

from rimward.edge.outbox.stock import Key, Stock
from rimward.wire import Row

_rows = msgspec.msgpack.Decoder(list[Row])
_encoder = msgspec.msgpack.Encoder()
_SELECT = (
    "select last, at, priority, schema, crc, body, ran from chunk "
    "where counter = ? and fact = ? and first = ?"
)
_INSERT = "insert into chunk values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Rekey(msgspec.Struct, frozen=True):
    """What the hub knows of this node's counters."""

    above: int  # the highest of all
    nonces: dict[int, int]  # of counters that this outbox has as well, by which the hub knows them
    taken: dict[str, dict[int, int]] = {}  # by lane and counter: the last row that the lake has of them

    @classmethod
    def decode(cls, data: bytes) -> "Rekey":
        """Read it.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.json.decode(data, type=cls)


def moving(known: Rekey, epochs: dict[int, int], shared: int) -> list[int]:
    """Return the counters of epochs that have to move, oldest first; `shared` is one that the lake has.

    An epoch that the hub knows by the same nonce is this outbox's own, or was copied with it whole: whoever
    sends its rows sends the same. From the first that is not so all move, or their order would be another.
    """

    def moves(counter: int) -> bool:
        if counter in known.nonces:
            return known.nonces[counter] != epochs[counter]
        return shared < counter <= known.above

    first = next((counter for counter in sorted(epochs) if moves(counter)), None)
    if first is None and max(epochs) < known.above:
        first = max(epochs)  # the running one: what comes now would be behind the lake's mark
    return [counter for counter in sorted(epochs) if first is not None and counter >= first]


def move(db: sqlite3.Connection, stock: Stock, counters: Iterable[int], known: Rekey) -> dict[int, int]:
    """Give epochs new counters inside a transaction; return them by their old ones."""
    moved: dict[int, int] = {}
    top = max([known.above, *(counter for (counter,) in db.execute("select counter from epoch"))])
    for counter in counters:
        top += 1
        moved[counter] = top
        db.execute("insert into epoch select ?, nonce from epoch where counter = ?", (top, counter))
        for key in sorted(key for key in stock.lanes if key[0] == counter):
            reached = max(stock.reached(key), known.taken.get(key[1], {}).get(counter, 0))
            _move_lane(db, stock, key, reached, top)
        db.execute(
            "delete from epoch where counter = ? and counter not in (select counter from lane)", (counter,)
        )
    return moved


def _move_lane(db: sqlite3.Connection, stock: Stock, key: Key, reached: int, counter: int) -> None:
    last, priority = stock.place(key)
    if reached >= last:
        return
    if reached:
        _renumber(db, key, reached, counter)
        _measure(db, key, reached, priority)
    else:
        db.execute("update chunk set counter = ? where counter = ? and fact = ?", (counter, *key))
        db.execute("update lost set counter = ? where counter = ? and lane = ?", (counter, *key))
        db.execute("delete from lane where counter = ? and fact = ?", key)
    _measure(db, (counter, key[1]), last - reached, priority)


def _measure(db: sqlite3.Connection, key: Key, last: int, priority: str) -> None:
    """Write down a lane's newest row and how many bytes of it are here."""
    size = db.execute(
        "select coalesce(sum(length(body)), 0) from chunk where counter = ? and fact = ?", key
    ).fetchone()[0]
    db.execute("insert or replace into lane values (?, ?, ?, ?, ?)", (*key, last, size, priority))


def _renumber(db: sqlite3.Connection, key: Key, reached: int, counter: int) -> None:
    """Move what follows a row of a lane to another epoch, numbered from 1 again."""
    where = (*key, reached)
    lost = db.execute(
        "select first, last, reason, rows, at from lost where counter = ? and lane = ? and last > ?", where
    ).fetchall()
    db.execute("delete from lost where counter = ? and lane = ? and last > ?", where)
    db.executemany(
        "insert into lost values (?, ?, ?, ?, ?, ?, ?)",
        [(counter, key[1], max(1, first - reached), last - reached, *rest) for first, last, *rest in lost],
    )
    firsts = db.execute(
        "select first from chunk where counter = ? and fact = ? and last > ? order by first", where
    ).fetchall()
    for (first,) in firsts:
        _renumber_chunk(db, key, first, reached, counter)


def _renumber_chunk(db: sqlite3.Connection, key: Key, first: int, reached: int, counter: int) -> None:
    last, at, priority, schema, crc, body, ran = db.execute(_SELECT, (*key, first)).fetchone()
    db.execute("delete from chunk where counter = ? and fact = ? and first = ?", (*key, first))
    if zlib.crc32(body) != crc:  # it is not read, and found as damaged when it is sent
        rest = (at, priority, schema, crc, body, ran)
        db.execute(_INSERT, (counter, key[1], max(1, first - reached), last - reached, *rest))
        return
    rows = _rows.decode(b"\xdd" + (last - first + 1).to_bytes(4, "big") + body)
    stay, go = [row for row in rows if row.seq <= reached], [row for row in rows if row.seq > reached]
    for row in go:
        row.seq -= reached
    for place, part in ((key, stay), ((counter, key[1]), go)):
        if part:
            body = b"".join(map(_encoder.encode, part))
            rest = (at, priority, schema, zlib.crc32(body), body, ran)
            db.execute(_INSERT, (*place, part[0].seq, part[-1].seq, *rest))
