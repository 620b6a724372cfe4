"""Rows of the outbox that are to be forgotten: they keep their place and lose what they said.

Nothing leaves a lane: a row that waits comes to the lake as one without values, which counts it as erased;
a copy that is kept after its commit is no copy of it any more. Whatever dies in between, the hub asks again.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from rimward.edge.outbox.records import DeadLetter
from rimward.edge.outbox.stock import Change, Key, Stock
from rimward.wire import Row, table_of
from rimward.wire.erasing import Erasure, Order, blank, is_later

TOGETHER = 64  # chunks in one transaction: commits wait for it
DEPTH = 8  # of a payload, below which nothing is looked for
_NEXT = (
    "select first, last, schema, crc, body from chunk where counter = ? and fact = ? and first > ? "
    "order by first limit ?"
)
_encode = msgspec.msgpack.Encoder().encode
_rows = msgspec.msgpack.Decoder(list[Row])
_letters = msgspec.msgpack.Decoder(DeadLetter)


def lanes_of(stock: Stock, orders: Iterable[Order]) -> list[Key]:
    """Return the lanes that may have rows of what is to be erased."""
    tables = {table for one in orders for table in one.columns}
    return sorted(key for key, held in stock.lanes.items() if held.bytes and table_of(key[1]) in tables)


def blanked(change: Change, stock: Stock, key: Key, after: int, orders: Iterable[Order]) -> tuple[int, int]:
    """Blank what is to be erased in a lane's next chunks; return the last chunk's first row, and how many.

    The former is 0 where no chunk follows.
    """
    found = change.db.execute(_NEXT, (*key, after, TOGETHER)).fetchall()
    rows, asked = 0, list(orders)
    for first, last, schema, crc, body in found:
        if zlib.crc32(body) != crc:
            continue  # its reader finds that, and it is recorded as lost
        fresh, gone = _blanked(body, last - first + 1, _fields(asked, table_of(key[1]), schema))
        if not gone:
            continue
        rows += gone
        change.db.execute(
            "update chunk set body = ?, crc = ? where counter = ? and fact = ? and first = ?",
            (fresh, zlib.crc32(fresh), *key, first),
        )
        change.bytes[key] += len(fresh) - len(body)
        if last <= stock.reached(key):
            change.kept[key] += len(fresh) - len(body)
    return (found[-1][0] if len(found) == TOGETHER else 0), rows


def _fields(orders: Iterable[Order], table: str, schema: str) -> list[tuple[Erasure, int]]:
    places = [(one.erasure, one.columns.get(table, {}).get(schema)) for one in orders]
    return [(erasure, index) for erasure, index in places if index is not None]


def _blanked(body: bytes, count: int, fields: list[tuple[Erasure, int]]) -> tuple[bytes, int]:
    if not fields:
        return body, 0
    rows, gone = _rows.decode(b"\xdd" + count.to_bytes(4, "big") + body), 0
    for index, row in enumerate(rows):
        if row.values and any(_falls(row, erasure, field) for erasure, field in fields):
            rows[index] = blank(row)
            gone += 1
    return (b"".join(map(_encode, rows)), gone) if gone else (body, 0)


def _falls(row: Row, erasure: Erasure, field: int) -> bool:
    return field < len(row.values) and not is_later(row, erasure.at) and erasure.takes(row.values[field])


def letters(db: sqlite3.Connection, orders: Iterable[Order]) -> list[tuple[int, int]]:
    """Return the dead letters that have the field with the value anywhere, as (id, bytes)."""
    asked = [one.erasure for one in orders]
    return [
        (id_, size)
        for id_, at, size, body in db.execute("select id, at, bytes, body from dead")
        if _names(_letters.decode(body), at, asked)
    ]


def _names(letter: DeadLetter, at: int, erasures: list[Erasure]) -> bool:
    asked = [one for one in erasures if at <= one.at]
    if not asked:
        return False
    pairs = list(_pairs(_payload(letter.payload), DEPTH))
    return any(name == one.field and one.takes(value) for one in asked for name, value in pairs)


def _payload(data: bytes) -> Any:
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        try:
            return decode(data)
        except (ValueError, RecursionError):
            continue
    return None


def _pairs(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a payload, those below others too."""
    if depth and isinstance(value, dict):
        for name, below in value.items():  # pyright: ignore[reportUnknownVariableType] -- any payload
            yield str(name), below  # pyright: ignore[reportUnknownArgumentType]
            yield from _pairs(below, depth - 1)
    elif depth and isinstance(value, list):
        for below in value:  # pyright: ignore[reportUnknownVariableType] -- any payload
            yield from _pairs(below, depth - 1)
