"""Epochs whose counter another disk has used get one above all that the hub knows (GUARANTEES §2).

What the lake is known to have of a lane stays where it is, for a lake that is restored. Whole lanes keep
their numbers; of a lane that the lake has in part, what is left is numbered from 1 again.
"""

import os
import sqlite3
import zlib
from collections.abc import Mapping

import msgspec

from rimward.edge.outbox.stock import Key, Stock
from rimward.wire import Epoch, Row

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
    nonces: dict[int, int]  # by counter, as the hub knows it: of those here, and others with nonces from here
    left: dict[str, dict[int, int]] = {}  # by lane and counter that the lake went past: the last row it has

    @classmethod
    def decode(cls, data: bytes) -> "Rekey":
        """Read it.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.json.decode(data, type=cls)


def moving(known: Rekey, epochs: dict[int, int], lasts: Mapping[Key, int]) -> dict[int, list[str]]:
    """Return the epochs that get another counter, oldest first, and which of their lanes go with them.

    `lasts` are the newest rows. An epoch that the hub knows by the same nonce is this outbox's own, or was
    copied with it whole: whoever sends its rows sends the same. So only those lanes move that can't go on
    under their number, since it is another disk's or the lake has left it behind; and all that comes after
    them in the lane, or its order would be another. With any, and where it is behind the lake's mark, goes
    the running epoch: what comes now comes after.
    """
    others = {one for one, nonce in epochs.items() if known.nonces.get(one, nonce) != nonce}
    found: dict[int, list[str]] = {one: [] for one in others}
    for lane in sorted({lane for _, lane in lasts}):
        stuck = False
        for counter in sorted(epochs):
            last = lasts.get((counter, lane), 0)
            end = 0 if counter in others else known.left.get(lane, {}).get(counter, last)
            stuck = stuck or last > end
            if stuck and last:
                found.setdefault(counter, []).append(lane)
    if found or max(epochs) < known.above:
        found.setdefault(max(epochs), [])
    return dict(sorted(found.items()))


def move(
    db: sqlite3.Connection, stock: Stock, epochs: dict[int, int], plan: Mapping[int, list[str]], known: Rekey
) -> tuple[dict[int, int], Epoch]:
    """Move lanes inside a transaction, and begin an epoch; return new counters by their old ones, and it.

    Under one nonce there are only rows of the start that it was made for, so that a lane which another copy
    of this disk has moved goes to the counter that it has there: with these numbers the rows are the same.
    """
    moved: dict[int, int] = {}
    top = max([known.above, *epochs])
    newest: dict[str, int] = {}
    for counter, lanes in plan.items():
        fresh = top + 1
        for lane in lanes:
            key = counter, lane
            reached = max(stock.reached(key), _left(known, epochs, key))
            if reached >= stock.last(key):
                continue
            copies = (
                one
                for one, nonce in (known.nonces | epochs).items()
                if nonce == epochs[counter] and one > max(counter, newest.get(lane, 0))
            )
            at = min((one for one in copies if (one, lane) not in stock.lanes), default=fresh)
            top = max(top, at)
            newest[lane] = moved[counter] = at
            db.execute("insert or ignore into epoch values (?, ?)", (at, epochs[counter]))
            _move_lane(db, stock, key, reached, at)
        db.execute(
            "delete from epoch where counter = ? and counter not in (select counter from lane)", (counter,)
        )
    epoch = Epoch(top + 1, int.from_bytes(os.urandom(4), "big"))
    db.execute("insert into epoch values (?, ?)", (epoch.counter, epoch.nonce))
    moved.setdefault(max(epochs), epoch.counter)
    return moved, epoch


def _left(known: Rekey, epochs: dict[int, int], key: Key) -> int:
    """Return the last row of a lane that the lake has; of another disk's start it has none."""
    counter, lane = key
    if known.nonces.get(counter, epochs[counter]) != epochs[counter]:
        return 0
    return known.left.get(lane, {}).get(counter, 0)


def _move_lane(db: sqlite3.Connection, stock: Stock, key: Key, reached: int, counter: int) -> None:
    last, priority = stock.place(key)
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
