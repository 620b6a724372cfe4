"""Media types: how a payload is read by its content type, and how a reply is written for its caller."""

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import msgspec
from msgspec import Struct

from rimward.app import Reply as Wanted
from rimward.edge.dispatch.payloads import BadPayloadError, Decode
from rimward.edge.dispatch.types import Reply
from rimward.events import CloudEvent

if TYPE_CHECKING:
    import cbor2

Encoding = Literal["json", "msgpack", "cbor", "text"]

_KINDS: dict[str, Encoding] = {
    "application/json": "json",
    "text/json": "json",
    "application/msgpack": "msgpack",
    "application/vnd.msgpack": "msgpack",
    "application/x-msgpack": "msgpack",
    "application/cbor": "cbor",
    "text/plain": "json",  # a number or an object written by hand
    "application/octet-stream": "json",  # says nothing
}
_SUFFIXES: dict[str, Encoding] = {"json": "json", "msgpack": "msgpack", "cbor": "cbor"}
_WRITTEN: dict[Encoding, tuple[str, ...]] = {  # the first is what we write
    "json": ("application/json", "text/json"),
    "msgpack": ("application/msgpack", "application/vnd.msgpack", "application/x-msgpack"),
    "cbor": ("application/cbor",),
    "text": ("text/plain; charset=utf-8", "text/plain"),
}
OBJECTS: tuple[Encoding, ...] = ("json", "msgpack", "cbor")
_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", re.ASCII | re.IGNORECASE)
RANGES = 32  # of one Accept that are looked at
_REFUSED_TAGS = (25, 28, 29, 30, 35, 36, 256, 258, 260, 261, 43000)  # cycles, patterns, sets, and their like


class MediaTypeError(BadPayloadError):
    """A content type that can't be read."""

    kind: ClassVar[str] = "media-type"


def encoding_of(content_type: str | None) -> Encoding | None:
    """Return how a payload of a content type is read; JSON where it has none, None where we can't."""
    if content_type is None:
        return "json"
    media, _, parameters = content_type.lower().partition(";")
    media = media.strip()
    if "charset" in parameters and not re.search(r"charset\s*=\s*\"?utf-?8\b", parameters):
        return None
    found = _KINDS.get(media)
    if found is None and "+" in media:
        found = _SUFFIXES.get(media.rpartition("+")[2])
    return found


def decoder_of(type_: Any, encoding: Encoding) -> Decode:
    """Return how bytes in an encoding become a value of a type.

    The decoder raises msgspec.MsgspecError, ValueError or RecursionError.
    """
    if encoding == "msgpack":
        return msgspec.msgpack.Decoder(type_).decode
    if encoding == "cbor":
        return lambda data: msgspec.convert(from_cbor(data), type_)
    return msgspec.json.Decoder(type_).decode


def typed_decoder(type_: Any, content_type: str, known: dict[str, Decode]) -> Decode:
    """Return the decoder for a content type, from those of the type that are known already.

    Raises:
        MediaTypeError: the content type can't be read.
    """
    encoding = encoding_of(content_type)
    if encoding is None:
        raise MediaTypeError(
            f"the content type {content_type[:100]!r} can't be read; send application/json, "
            "application/msgpack or application/cbor"
        )
    if encoding not in known:
        known[encoding] = decoder_of(type_, encoding)
    return known[encoding]


def from_cbor(data: bytes) -> Any:
    """Read one CBOR item [RFC 8949]: no cycles, no executable patterns, keys that are strings.

    Raises:
        ValueError: it is none.
    """
    import cbor2  # with the first CBOR: most nodes never see any

    file = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(
        file,
        tag_hook=_refuse_tag,
        semantic_decoders=dict.fromkeys(_REFUSED_TAGS, _refuse),
        max_depth=200,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        value = decoder.decode()
    except (cbor2.CBORError, OverflowError) as error:
        raise ValueError(f"CBOR is malformed: {error}") from None
    if rest := len(data) - file.tell():
        raise ValueError(f"CBOR is malformed: {rest} bytes follow the first item")
    return value


def _refuse(value: Any, immutable: bool) -> Any:  # noqa: FBT001 (the library's signature)
    del value, immutable
    raise ValueError("CBOR has a tag that is not read here")


def _refuse_tag(tag: "cbor2.CBORTag", immutable: bool) -> Any:  # noqa: FBT001 (the library's signature)
    del immutable
    raise ValueError(f"CBOR has the tag {tag.tag}, which is not read here")


# -- replies


def offers_for(returns: Any) -> tuple[Encoding, ...] | None:
    """Return what a function's reply can be written as, what we like best first; None: it is not known."""
    if returns is None or returns is bytes or returns is type(None) or returns is Any:
        return None
    if returns is str:
        return ("text",)
    if isinstance(returns, type) and issubclass(returns, CloudEvent):
        return None  # its data have a type of their own
    known = isinstance(returns, type) and (issubclass(returns, Struct) or returns in {dict, list, int, float})
    return OBJECTS if known else None


def choose(accept: str | None, asked: Encoding, offers: tuple[Encoding, ...]) -> Encoding | None:
    """Return the encoding that a caller likes best [RFC 9110 §12.5.1]; None where none is acceptable.

    `asked` is the encoding of the caller's own payload: it wins among equals.
    """
    preferred: list[Encoding] = [
        *(one for one in offers if one == asked),
        *(one for one in offers if one != asked),
    ]
    if accept is None or not accept.strip():
        return preferred[0]
    ranges = [_range(text) for text in accept.lower().split(",")[:RANGES]]
    rated: list[tuple[float, Encoding]] = [(_quality(encoding, ranges), encoding) for encoding in preferred]
    best = max(quality for quality, _ in rated)
    return next(encoding for quality, encoding in rated if quality == best) if best > 0 else None


def agree(
    accept: str | None, content_type: str | None, offers: tuple[Encoding, ...] | None
) -> Encoding | None:
    """Return the encoding of a reply to a payload; None where none of those offered is acceptable."""
    found = choose(accept, encoding_of(content_type) or "json", offers or OBJECTS)
    return "json" if found is None and offers is None else found


def media_types(encodings: tuple[Encoding, ...]) -> str:
    """Return encodings as a caller may ask for them."""
    return ", ".join(_WRITTEN[encoding][-1 if encoding == "text" else 0] for encoding in encodings)


class _Range(Struct, frozen=True):
    media: str
    quality: float


def _range(text: str) -> _Range:
    media, *parameters = text.split(";")
    quality = 1.0
    for parameter in parameters:
        if (match := _QUALITY.fullmatch(parameter)) is not None:
            quality = float(match[1])
    return _Range(media.strip(), quality)


def _quality(encoding: Encoding, ranges: list[_Range]) -> float:
    """Return the quality of the most specific range that an encoding's types fit."""
    best = (-1, 0.0)
    for one in ranges:
        for media in _WRITTEN[encoding]:
            media = media.partition(";")[0]  # noqa: PLW2901 (without its charset)
            if one.media == media:
                best = max(best, (2, one.quality))
            elif one.media == media.partition("/")[0] + "/*":
                best = max(best, (1, one.quality))
            elif one.media == "*/*":
                best = max(best, (0, one.quality))
    return best[1]


def encode_reply(value: Any, encoding: Encoding = "json") -> Reply:
    """Return a function's returned value as a reply in an encoding; None is an empty success.

    Raises:
        TypeError: it has no form in that encoding.
    """
    if isinstance(value, Wanted):
        return _wanted(cast("Wanted[Any]", value), encoding)
    if value is None:
        return Reply(status=204)
    if isinstance(value, bytes):
        return Reply(value, content_type="application/octet-stream")
    if isinstance(value, str):
        return Reply(value.encode(), content_type=_WRITTEN["text"][0])
    written: Encoding = "json" if encoding == "text" else encoding
    return Reply(_encode(value, written), content_type=_WRITTEN[written][0])


def _wanted(wanted: Wanted[Any], encoding: Encoding) -> Reply:
    return dressed(encode_reply(wanted.value, encoding), wanted.status, wanted.headers)


def dressed(reply: Reply, status: int | None, fields: Mapping[str, str]) -> Reply:
    """Give a reply the status and the headers that a function asked for."""
    headers = {name.lower(): value for name, value in fields.items()}
    reply.content_type = headers.pop("content-type", reply.content_type)
    reply.headers = headers
    if status is not None:
        reply.status = status
    return reply


def _encode(value: Any, encoding: Encoding) -> bytes:
    if encoding == "msgpack":
        return msgspec.msgpack.encode(value)
    if encoding == "cbor":
        import cbor2

        return cbor2.dumps(msgspec.to_builtins(value, builtin_types=(bytes,)))
    return msgspec.json.encode(value)
