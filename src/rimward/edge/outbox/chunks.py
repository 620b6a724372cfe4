"""Rows as the chunks in which the outbox keeps them: of one lane and schema, no larger than an envelope."""

import zlib
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from rimward.edge.clock import Stamp
from rimward.edge.outbox.records import Forward
from rimward.events import RowTooLarge
from rimward.wire import Row

CHUNK_BYTES = 48 << 10  # a chunk is never larger than an envelope may be, but for a single row
ROW_BYTES = 320 << 10  # of a row before compression: a whole payload fits
SEALED_BYTES = 64 << 10  # of a row after it: what an envelope carries

_encoder = msgspec.msgpack.Encoder()


class Body(NamedTuple):
    """A chunk that is not written yet."""

    lane: str
    first: int
    last: int
    priority: str
    schema: str
    crc: int
    body: bytes


def encode_row(row: Forward, stamp: Stamp) -> bytes:
    """Return a numbered row as the envelope will carry it, with its time by the commit's stamp."""
    received, mono = row.received, None
    if row.mono is not None:
        received, mono = stamp.received(row.mono), row.mono + stamp.asleep
    return _encoder.encode(
        Row(
            row.seq,
            received,
            row.event,
            row.time,
            stamp.quality,
            row.replayed,
            row.trace,
            row.values,
            mono,
        )
    )


def cut(rows: list[Forward], stamp: Stamp) -> Iterable[Body]:
    """Yield the chunks that a lane's numbered rows need."""
    start, size = 0, 0
    parts: list[bytes] = []
    for index, row in enumerate(rows):
        part = encode_row(row, stamp)
        if parts and (size + len(part) > CHUNK_BYTES or row.schema != rows[start].schema):
            yield _body(rows[start:index], parts)
            start, size, parts = index, 0, []
        parts.append(part)
        size += len(part)
    yield _body(rows[start:], parts)


def _body(rows: list[Forward], parts: list[bytes]) -> Body:
    body, head = b"".join(parts), rows[0]
    return Body(head.lane, head.seq, rows[-1].seq, head.priority, head.schema, zlib.crc32(body), body)


def check_size(fact: str, about: int, values: tuple[object, ...]) -> None:
    """Check that an envelope can carry a row of a fact whose values take about so many bytes.

    Raises:
        RowTooLarge: it can't.
    """
    if about <= SEALED_BYTES:
        return
    if about > ROW_BYTES:
        raise RowTooLarge(
            f"{fact}: a row of about {about} bytes, the limit is {ROW_BYTES}: keep the data elsewhere and "
            "send a reference instead"
        )
    import zstandard  # nodes compress nothing in this process but a row that may be too large

    packed = len(zstandard.ZstdCompressor(level=3).compress(_encoder.encode(values)))
    if packed > SEALED_BYTES:
        raise RowTooLarge(
            f"{fact}: a row of {packed} bytes compressed, the limit is {SEALED_BYTES}: keep the data "
            "elsewhere and send a reference instead"
        )
