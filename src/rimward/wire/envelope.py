"""The envelope: up to 500 rows of one lane, msgpack with hoisted headers, zstd, and a checksum.

Layout: crc32 of the rest (4 bytes, big-endian), then zstd(msgpack([header, rows])). A reader ignores
elements and keys that it does not know.
"""

import struct
import zlib
from typing import Any

import msgspec
import zstandard
from msgspec import Struct

MAX_BYTES = 8 << 20  # decompressed
_CRC = struct.Struct(">I")


class EnvelopeError(Exception):
    """Bytes that are no envelope."""


class Header(Struct, frozen=True):
    """What all rows of an envelope share."""

    schema: str  # fingerprint of the fact's columns
    priority: str
    first: int
    last: int
    sealed_at: int  # ns, the node's clock
    site: str = "local"
    boot: str = ""  # of the sending process
    attempt: int = 0
    lost: str | None = None  # why the rows of this range are not here
    v: int = 1


class Row(Struct, array_like=True, gc=False):
    """One fact."""

    seq: int
    received: int  # ns since the epoch
    event: str
    time: int | None  # ns since the epoch; None where the event had no time of its own
    clock: str
    replayed: bool
    trace: bytes | None
    values: Any  # the fact's values in column order


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Header, list[Row]])


def encode(header: Header, rows: list[Row]) -> bytes:
    """Return an envelope's bytes."""
    return encode_raw(header, len(rows), b"".join(map(_encoder.encode, rows)))


def encode_raw(header: Header, count: int, rows: bytes) -> bytes:
    """Return an envelope of rows that are msgpack already, one after the other."""
    plain = b"\x92" + _encoder.encode(header) + b"\xdd" + count.to_bytes(4, "big") + rows
    body = zstandard.ZstdCompressor(level=3).compress(plain)
    return _CRC.pack(zlib.crc32(body)) + body


def decode(data: bytes) -> tuple[Header, list[Row]]:
    """Read an envelope.

    Raises:
        EnvelopeError: it is damaged, too large, or its rows are not the range that its header names.
    """
    if len(data) < _CRC.size or _CRC.unpack_from(data)[0] != zlib.crc32(data[_CRC.size :]):
        raise EnvelopeError("the checksum does not fit")
    try:
        size = zstandard.get_frame_parameters(data[_CRC.size :]).content_size
        if not 0 <= size <= MAX_BYTES:
            raise EnvelopeError(f"it would have {size} bytes, the limit is {MAX_BYTES}")
        plain = zstandard.ZstdDecompressor().decompress(data[_CRC.size :], max_output_size=MAX_BYTES)
        header, rows = _decoder.decode(plain)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise EnvelopeError(str(error)) from None
    if header.lost is None and [row.seq for row in rows] != list(range(header.first, header.last + 1)):
        raise EnvelopeError(f"its rows are not {header.first} to {header.last}")
    return header, rows
