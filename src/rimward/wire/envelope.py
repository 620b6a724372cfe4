"""The envelope: up to 500 rows of one lane, msgpack with hoisted headers, zstd, and a checksum.

Layout: crc32 of the rest (4 bytes, big-endian), then zstd(msgpack([header, rows])), whose frame names the
dictionary, if one was used. A reader ignores elements and keys that it does not know. Identity (node, epoch,
fact) is not in here: it is read from the subject, which the bus polices.
"""

import struct
import zlib
from typing import Any

import msgspec
from msgspec import Struct

from rimward.events import RimwardError
from rimward.wire.dictionaries import DICTIONARIES, ENVELOPE
from rimward.wire.lanes import SEQ_BITS

VERSION = 1
SMALL = 8 << 10  # bytes before compression below which the dictionary pays
MAX_BYTES = 4 << 20  # decompressed; decoded objects may take some 60 times that
_CRC = struct.Struct(">I")


class EnvelopeError(RimwardError):
    """Bytes that are no envelope."""

    code = "envelope"


class DamagedError(EnvelopeError):
    """The checksum does not fit: bytes were changed on their way, and a repeat may be whole."""

    code = "damaged"
    retryable = True


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
    lost: str | None = None  # why rows `first` to `last` will never come; there are no rows then
    prior: int = 0  # transaction version of the fact's last row in the epoch before; ingest waits for it
    prior_nonce: int = 0  # of that epoch: the same counter from another disk is not the row meant
    v: int = VERSION


class Row(Struct, array_like=True, gc=False):
    """One fact."""

    seq: int
    received: int | None  # the node's wall clock, ns since the epoch; None where it is not to be believed
    event: str
    time: int | None  # ns since the epoch; None where the event had no time of its own
    clock: str  # how good the node's clock was: "synced", "holdover" or "unsynced"
    replayed: bool
    trace: bytes | None  # 16 bytes, only if the device sent them
    values: tuple[Any, ...]  # the fact's values in column order
    mono: int | None = None  # CLOCK_BOOTTIME, ns; with the epoch, which lies in one boot, it places the row


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Header, msgspec.Raw])
_rows_decoder = msgspec.msgpack.Decoder(list[Row])


def encode(header: Header, rows: list[Row]) -> bytes:
    """Return an envelope's bytes."""
    return encode_raw(header, len(rows), b"".join(map(_encoder.encode, rows)))


def encode_raw(header: Header, count: int, rows: bytes) -> bytes:
    """Return an envelope of rows that are msgpack already, one after the other."""
    return Sealer().encode(header, count, rows)


class Sealer:
    """Writes envelopes and keeps what compression needs between them: for one thread."""

    def __init__(self, level: int = 3) -> None:
        import zstandard  # nodes write no envelopes in the process that devices wait for

        self._compressor = zstandard.ZstdCompressor(level=level)
        words = zstandard.ZstdCompressionDict(DICTIONARIES[ENVELOPE])
        self._small = zstandard.ZstdCompressor(level=level, dict_data=words)

    def encode(self, header: Header, count: int, rows: bytes) -> bytes:
        """Return an envelope of rows that are msgpack already, one after the other."""
        plain = b"\x92" + _encoder.encode(header) + b"\xdd" + count.to_bytes(4, "big") + rows
        body = (self._small if len(plain) < SMALL else self._compressor).compress(plain)
        return _CRC.pack(zlib.crc32(body)) + body


def decode(data: bytes) -> tuple[Header, list[Row]]:
    """Read an envelope.

    Raises:
        DamagedError: its checksum does not fit.
        EnvelopeError: it is too large, or its rows are not the range that its header names.
    """
    header, rows = unseal(data)
    try:
        found = _rows_decoder.decode(rows)
    except (ValueError, RecursionError, MemoryError) as error:
        raise EnvelopeError(str(error)) from None
    check_rows(header, [row.seq for row in found])
    return header, found


def unseal(data: bytes) -> tuple[Header, bytes]:
    """Read an envelope's header, and its rows as msgpack: an array that may hold anything yet.

    Raises:
        DamagedError: its checksum does not fit.
        EnvelopeError: it is too large, or its header is none.
    """
    import zstandard

    if len(data) < _CRC.size or _CRC.unpack_from(data)[0] != zlib.crc32(data[_CRC.size :]):
        raise DamagedError("the checksum does not fit")
    try:
        header, rows = _decoder.decode(_decompress(data[_CRC.size :]))
    except (zstandard.ZstdError, ValueError, RecursionError, MemoryError) as error:
        # ValueError: msgspec's own errors, and text that is not UTF-8, which it passes on as it is
        raise EnvelopeError(str(error)) from None
    if header.v != VERSION:
        raise EnvelopeError(f"its version is {header.v}, this reads {VERSION}")
    if not 1 <= header.first <= header.last < 1 << SEQ_BITS:
        raise EnvelopeError(f"rows {header.first} to {header.last} are no range")
    return header, bytes(rows)


def check_rows(header: Header, seqs: list[int]) -> None:
    """Compare an envelope's rows with what its header says of them.

    Raises:
        EnvelopeError: they are not those.
    """
    if header.lost is not None:
        if seqs:
            raise EnvelopeError(f"it has {len(seqs)} rows and says that they are lost")
    elif len(seqs) != header.last - header.first + 1 or seqs != list(range(header.first, header.last + 1)):
        raise EnvelopeError(f"its {len(seqs)} rows are not {header.first} to {header.last}")


def _decompress(frame: bytes) -> bytes:
    import zstandard

    # max_output_size is ignored for a frame that names its size, so the name is read first.
    parameters = zstandard.get_frame_parameters(frame)
    size, number = parameters.content_size, parameters.dict_id
    if not 0 <= size <= MAX_BYTES:
        raise EnvelopeError(f"it says it has {size} bytes decompressed, the limit is {MAX_BYTES}")
    if not number:
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=MAX_BYTES)
    if number not in DICTIONARIES:
        known = ", ".join(map(str, DICTIONARIES))
        raise EnvelopeError(f"its dictionary is {number}, this has {known}")
    words = zstandard.ZstdCompressionDict(DICTIONARIES[number])
    return zstandard.ZstdDecompressor(dict_data=words).decompress(frame, max_output_size=MAX_BYTES)
