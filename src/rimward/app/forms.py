"""How a state's cells are written and read: checked by its type before anything of the call is kept."""

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar, cast

import msgspec
from msgspec import Struct

from rimward.events import StateInvalid

S = TypeVar("S", bound=Struct)
_BITS = 64  # of the largest whole number that is kept
_encode = msgspec.msgpack.Encoder().encode


class Written(NamedTuple, Generic[S]):
    """A value as the disk has it, and as it is read from there: nothing that a function holds is in it."""

    body: bytes
    value: S


class Form(Generic[S]):
    """The form in which the cells of one state type are kept."""

    __slots__ = ("_decode", "name")

    def __init__(self, type_: type[S], name: str) -> None:
        self.name: str = name  # in errors
        self._decode = msgspec.msgpack.Decoder(type_).decode

    def read(self, body: bytes) -> S:
        """Return a value that was written.

        Raises:
            msgspec.ValidationError: it does not fit the type.
        """
        return self._decode(body)

    def write(self, value: S) -> Written[S]:
        """Return a value as it is kept.

        Raises:
            StateInvalid: it can't be, or a field's value is not of its type.
        """
        try:
            body = _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            _refuse(self.name, value)
        try:
            return Written(body, self._decode(body))
        except (msgspec.ValidationError, RecursionError) as error:
            raise StateInvalid(f"state {self.name}: {error}") from None


def _refuse(name: str, value: Struct) -> NoReturn:
    """Say which value can't be kept, and why: by its type and size, never what it is (GUARANTEES §7)."""
    try:
        path, found = _culprit(value, "", set()) or ("value", value)
    except RecursionError:
        path, found = "value", _ITSELF
    raise StateInvalid(f"state {name}: {path} is {_told(found)}") from None


def _culprit(value: Any, path: str, above: set[int]) -> tuple[str, Any] | None:
    """Return the innermost value that can't be written, with its path; None where there is none."""
    if id(value) in above:
        return path, _ITSELF
    if path:
        try:
            _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            pass
        else:
            return None
    above.add(id(value))
    for step, part in _parts(value):
        found = _culprit(part, f"{path}{step}" if path else step.lstrip("."), above)
        if found is not None:
            return found
    above.discard(id(value))
    return (path, value) if path else None


_ITSELF = object()  # stands for a value that is part of itself


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values inside one, each with its step from there."""
    if isinstance(value, Struct):
        yield from ((f".{name}", getattr(value, name)) for name in value.__struct_fields__)
    elif isinstance(value, dict):
        for key, part in cast("dict[Any, Any]", value).items():
            yield "{key}", key
            yield "[…]", part
    elif isinstance(value, list | tuple):
        yield from ((f"[{at}]", part) for at, part in enumerate(cast("list[Any]", value)))
    elif isinstance(value, set | frozenset):
        yield from (("{item}", part) for part in cast("set[Any]", value))


def _told(value: Any) -> str:
    if value is _ITSELF:
        return "part of itself, or too deep to be written out"
    if isinstance(value, int):
        return f"a whole number of {value.bit_length()} bits, at most {_BITS} are kept"
    if isinstance(value, str):
        return f"text of {len(value)} characters with a surrogate, which is not Unicode"
    return f"of the type {type(value).__name__}; use types that JSON can hold"
