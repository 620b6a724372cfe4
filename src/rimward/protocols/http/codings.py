"""Content codings, gzip and zstd: chosen by `Accept-Encoding`, undone with a bound [RFC 9110 §8.4, §12.5.3].

What a peer compressed may grow a thousandfold: it is never expanded past the limit that its plain form has.
"""

import io
import re
import zlib
from functools import lru_cache
from typing import Literal

from rimward.protocols.http.errors import HttpError

Coding = Literal["gzip", "zstd"]
OFFERED = "gzip, zstd"  # what request bodies may have
_QUALITY = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_PREFERRED: tuple[Coding, ...] = ("zstd", "gzip")
_ALIASES = {"x-gzip": "gzip"}  # [RFC 9110 §8.4.1.3]
_NAMES = 16  # of one Accept-Encoding that are looked at
_WINDOW = 8 << 20  # bytes that a zstd frame may ask for [RFC 9659 §3]
_GZIP = 31  # zlib's window bits for 32 KiB behind a gzip head
_LEVEL = {"gzip": 4, "zstd": 3}
_PLAIN_TYPES = ("text/", "application/json", "application/problem+json", "application/javascript")
_SUFFIXES = ("+json", "+xml", "application/xml", "image/svg+xml", "application/cbor", "application/msgpack")


@lru_cache(256)
def choose(accepted: str) -> Coding | None:
    """Return the coding that a caller likes best, zstd among equals; None sends the body as it is."""
    weights: dict[str, float] = {}
    for text in accepted.lower().split(",")[:_NAMES]:
        name, _, parameter = (part.strip() for part in text.partition(";"))
        match = _QUALITY.fullmatch(parameter)
        if name and (match is not None or not parameter):
            weights[_ALIASES.get(name, name)] = 1.0 if match is None else float(match[1])
    rest = weights.get("*", 0.0)
    plain = weights.get("identity", weights["*"] if "*" in weights and rest == 0 else -1.0)
    best = max(_PREFERRED, key=lambda coding: weights.get(coding, rest))
    weight = weights.get(best, rest)
    return best if weight > 0 and weight >= plain else None


@lru_cache(256)
def is_compressible(content_type: str) -> bool:
    """Tell whether bytes of a media type become smaller."""
    media = content_type.partition(";")[0].strip().lower()
    if media == "text/event-stream":
        return False
    return media.startswith(_PLAIN_TYPES) or media.endswith(_SUFFIXES)


def compress(data: bytes, coding: Coding) -> bytes:
    """Return bytes in a coding; the same bytes give the same ones."""
    if coding == "zstd":
        import zstandard  # with the first body that is zstd

        return zstandard.ZstdCompressor(level=_LEVEL["zstd"]).compress(data)
    return zlib.compress(data, _LEVEL["gzip"], wbits=_GZIP)


def expand(data: bytes, coding: str, limit: int) -> bytes:
    """Return what a peer compressed.

    Raises:
        HttpError: 415 where the coding is not one of ours, 413 where there are more than `limit` bytes, 400
            where it is malformed or cut off.
    """
    name = coding.strip().lower()
    name = _ALIASES.get(name, name)
    if name == "identity":
        return data
    if name == "gzip":
        return _gunzip(data, limit)
    if name == "zstd":
        return _unzstd(data, limit)
    raise HttpError(415, f"the content coding is none of {OFFERED}")


def _gunzip(data: bytes, limit: int) -> bytes:
    found = bytearray()
    rest = data
    while rest:
        stream = zlib.decompressobj(_GZIP)
        try:
            found += stream.decompress(rest, limit + 1 - len(found))
        except zlib.error:
            raise HttpError(400, "the body is not gzip") from None
        if len(found) > limit:
            raise _too_long(limit)
        if not stream.eof:
            raise HttpError(400, "the gzip body is cut off")
        rest = stream.unused_data
    if not data:
        raise HttpError(400, "the gzip body is cut off")
    return bytes(found)


def _unzstd(data: bytes, limit: int) -> bytes:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        if zstandard.frame_content_size(data) > limit:
            raise _too_long(limit)
        # a frame that does not say its size gets no more room than the limit
        return reader.decompress(data, max_output_size=max(1, limit), allow_extra_data=False)
    except zstandard.ZstdError:
        if _is_longer(data, limit):
            raise _too_long(limit) from None
        raise HttpError(400, "the body is not zstd, or is cut off") from None


def _is_longer(data: bytes, limit: int) -> bool:
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        return len(reader.stream_reader(io.BytesIO(data)).read(limit + 1)) > limit
    except zstandard.ZstdError:
        return False


def _too_long(limit: int) -> HttpError:
    return HttpError(413, f"the body is longer than {limit} bytes when it is expanded")
