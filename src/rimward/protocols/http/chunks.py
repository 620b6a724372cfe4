"""Chunked bodies [RFC 9112 §7.1]; extensions and trailers are checked and left out."""

import re
from enum import Enum, auto

from rimward.protocols.http.errors import HttpError

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t !-~]*)?")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_SIZE_LINE = 256  # bytes that a size and its extensions may have
_TRAILERS = 4096  # bytes that all trailers may have


class _Part(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()


class ChunkedBody:
    """Collects one chunked body."""

    __slots__ = ("_left", "_limit", "_part", "_trailers", "data")

    def __init__(self, limit: int) -> None:
        self.data: bytearray = bytearray()
        self._limit = limit  # bytes that the whole body may have
        self._left = 0  # bytes of the present chunk still to come
        self._part = _Part.SIZE
        self._trailers = 0  # bytes of trailers seen

    def take(self, inbox: bytearray) -> bool:
        """Take from `inbox` what belongs to the body; return whether the body is whole.

        Raises:
            HttpError: the chunks are malformed or the body is too long.
        """
        while True:
            match self._part:
                case _Part.SIZE:
                    going_on = self._take_size(inbox)
                case _Part.DATA:
                    going_on = self._take_data(inbox)
                case _Part.DATA_END:
                    going_on = self._take_data_end(inbox)
                case _Part.TRAILERS:
                    line = _line(inbox, _TRAILERS, 431)
                    if line == b"":
                        return True
                    going_on = line is not None and self._take_trailer(line)
            if not going_on:
                return False

    def _take_size(self, inbox: bytearray) -> bool:
        line = _line(inbox, _SIZE_LINE, 400)
        if line is None:
            return False
        match = _SIZE.fullmatch(line)
        if match is None:
            raise HttpError(400, "a chunk's size is malformed")
        self._left = int(match[1], 16)
        if len(self.data) + self._left > self._limit:
            raise HttpError(413, f"the body is longer than {self._limit} bytes")
        self._part = _Part.DATA if self._left else _Part.TRAILERS
        return True

    def _take_data(self, inbox: bytearray) -> bool:
        piece = inbox[: self._left]
        del inbox[: len(piece)]
        self.data += piece
        self._left -= len(piece)
        if self._left:
            return False
        self._part = _Part.DATA_END
        return True

    def _take_data_end(self, inbox: bytearray) -> bool:
        if not b"\r\n".startswith(inbox[:2]):
            raise HttpError(400, "a chunk is longer than its size")
        if len(inbox) < 2:
            return False
        del inbox[:2]
        self._part = _Part.SIZE
        return True

    def _take_trailer(self, line: bytes) -> bool:
        self._trailers += len(line)
        if self._trailers > _TRAILERS:
            raise HttpError(431, f"the trailers are longer than {_TRAILERS} bytes")
        if not _FIELD.fullmatch(line):
            raise HttpError(400, "a trailer is malformed")
        return True


def _line(inbox: bytearray, limit: int, status: int) -> bytes | None:
    """Take one line; None while it is not whole."""
    end = inbox.find(b"\n", 0, limit + 2)
    if end < 0:
        if len(inbox) >= limit + 2:
            raise HttpError(status, f"a line in a chunked body is longer than {limit} bytes")
        return None
    if not inbox.endswith(b"\r", 0, end):
        raise HttpError(400, "a line in a chunked body ends with LF alone")
    line = bytes(inbox[: end - 1])
    del inbox[: end + 1]
    return line
