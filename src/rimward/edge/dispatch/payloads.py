"""Payloads in and replies out: decoded straight into the function's type, refused with path and reason."""

import enum
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec

from rimward.edge.dispatch.types import Reply

Decode = Callable[[bytes], Any]


class BadPayloadError(Exception):
    """A payload that does not fit its type; the message names the path, the value and the rule."""


def decoder_for(type_: Any) -> Decode:
    """Return how bytes become a value of the type."""
    if type_ is bytes:
        return bytes
    if type_ is str:
        return _text
    return msgspec.json.Decoder(type_).decode


def decode(decoder: Decode, payload: bytes) -> Any:
    """Decode a payload.

    Raises:
        BadPayloadError: it is not of the type.
    """
    try:
        return decoder(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadPayloadError(str(error)) from None
    except RecursionError:
        raise BadPayloadError("the payload is nested too deep") from None


def _text(payload: bytes) -> str:
    return payload.decode()


def capture_value(type_: Any, name: str, text: str) -> Any:
    """Convert a capture's text to its parameter's type.

    Raises:
        BadPayloadError: the text is not one.
    """
    try:
        if type_ is str:
            return text
        if type_ is int:
            return int(text) if text.isascii() and len(text) <= 20 else _fail()
        return UUID(text) if type_ is UUID else type_(text)
    except ValueError:
        wanted = type_.__name__
        if isinstance(type_, type) and issubclass(type_, enum.Enum):
            wanted = f"one of {', '.join(str(member.value) for member in type_)}"
        raise BadPayloadError(f"{name} is {text[:64]!r}, it must be {wanted}") from None


def _fail() -> int:
    raise ValueError


def query_value(type_: Any, name: str, text: str) -> Any:
    """Convert a query parameter.

    Raises:
        BadPayloadError: the text is not of the type.
    """
    try:
        return msgspec.convert(text, type_, strict=False)
    except msgspec.ValidationError as error:
        raise BadPayloadError(f"{error} - at query parameter {name!r}") from None


def encode_reply(value: Any) -> Reply:
    """Return a function's returned value as a reply; None is an empty success."""
    if value is None:
        return Reply(status=204)
    if isinstance(value, Reply):
        return value
    if isinstance(value, bytes):
        return Reply(value, content_type="application/octet-stream")
    if isinstance(value, str):
        return Reply(value.encode(), content_type="text/plain; charset=utf-8")
    return Reply(msgspec.json.encode(value), content_type="application/json")
