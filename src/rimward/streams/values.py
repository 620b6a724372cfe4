"""How operators that keep values turn them into builtins and back, for snapshots."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple


def same(value: Any) -> Any:
    """Return the value."""
    return value


class Codec(NamedTuple):
    """`encode` makes a value builtins that msgpack can carry; `decode` makes it a value again."""

    encode: Callable[[Any], Any] = same
    decode: Callable[[Any], Any] = same


PLAIN = Codec()  # for numbers, text and times


def getter(field: str | None) -> Callable[[Any], Any]:
    """Return what reads a field of a value; None stands for the value itself."""
    return same if field is None else attrgetter(field)
