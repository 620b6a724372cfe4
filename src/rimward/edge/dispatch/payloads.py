"""Payloads and captures: decoded straight into the function's type, refused with path and reason."""

import enum
import re
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

Decode = Callable[[bytes], Any]
_INT = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)  # one spelling each: captures are keys


class BadPayloadError(Exception):
    """A payload that does not fit its type; the message names the path, the value and the rule."""

    kind: ClassVar[str] = "payload"  # of the refusal


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
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
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
    if type_ is str:
        return text
    try:
        if type_ is int:
            return int(text) if _INT.fullmatch(text) else _fail()
        return msgspec.convert(text, type_, strict=False)
    except (ValueError, msgspec.ValidationError):
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
