"""Byte ranges [RFC 9110 §14]: one part, several as multipart/byteranges, or none that can be given."""

import re

from msgspec import Struct

MAX_RANGES = 16  # of one request; with more it gets the whole
_SPEC = re.compile(r"(\d{0,18})-(\d{0,18})", re.ASCII)


class Part(Struct, frozen=True, gc=False):
    """Bytes `first` to `last`, both included."""

    first: int
    last: int


class UnsatisfiableError(Exception):
    """No range begins within the body."""


def parse(header: str, length: int) -> tuple[Part, ...] | None:
    """Return the parts of a body that a `Range` asks for; None gives the whole [§14.2].

    The whole is given where the header is malformed or of another unit, and where its parts would be more
    than the whole: many small or overlapping ranges are an attack and no wish.

    Raises:
        UnsatisfiableError: none of them begins within the body.
    """
    unit, equals, texts = header.partition("=")
    specs = [spec.strip() for spec in texts.split(",")]
    if unit.strip().lower() != "bytes" or not equals or len(specs) > MAX_RANGES:
        return None
    parts: list[Part] = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or (not match[1] and not match[2]):
            return None
        if match[1] and match[2] and int(match[2]) < int(match[1]):
            return None
        part = _part(match[1], match[2], length)
        if part is not None:
            parts.append(part)
    if not parts:
        raise UnsatisfiableError
    if sum(part.last - part.first + 1 for part in parts) > length:
        return None
    return tuple(parts)


def _part(first: str, last: str, length: int) -> Part | None:
    if not first:  # the last so many bytes
        return Part(max(0, length - int(last)), length - 1) if int(last) and length else None
    if int(first) >= length:
        return None
    return Part(int(first), min(int(last), length - 1) if last else length - 1)


def content_range(part: Part, length: int) -> str:
    """Return the part's place as `Content-Range` tells it."""
    return f"bytes {part.first}-{part.last}/{length}"


def multipart(parts: tuple[Part, ...], body: bytes, content_type: str | None, boundary: str) -> bytes:
    """Return several parts as one multipart/byteranges body [§14.6]."""
    pieces: list[bytes] = []
    kind = "" if content_type is None else f"content-type: {content_type}\r\n"
    for part in parts:
        head = f"--{boundary}\r\n{kind}content-range: {content_range(part, len(body))}\r\n\r\n"
        pieces += [head.encode("latin-1", "replace"), body[part.first : part.last + 1], b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode("ascii")])
