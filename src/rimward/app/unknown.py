"""What a stored value has that its type does not know: kept aside, and put back when it is written."""

from typing import Any, cast

from msgspec import Struct


class Unknown(Struct, frozen=True):
    """Of one map: its own keys that are not known, and what is unknown below those that are."""

    own: dict[Any, Any]
    below: dict[Any, Any]


class UnknownItems(Struct, frozen=True):
    """Of one list: its items as they were read, and what is unknown in some, by their places."""

    read: list[Any]
    parts: dict[int, Any]


def unknown_in(stored: Any, read: Any) -> Any:
    """Return what of a stored value is not in what was read of it; None where nothing is.

    Both are made of maps, lists and scalars.
    """
    if isinstance(stored, dict) and isinstance(read, dict):
        before, now = cast("dict[Any, Any]", stored), cast("dict[Any, Any]", read)
        own = {key: value for key, value in before.items() if key not in now}
        found = {key: unknown_in(value, now[key]) for key, value in before.items() if key in now}
        below = {key: part for key, part in found.items() if part is not None}
        return Unknown(own, below) if own or below else None
    if isinstance(stored, list) and isinstance(read, list):
        items = cast("list[Any]", read)
        pairs = enumerate(zip(cast("list[Any]", stored), items, strict=False))
        found = {at: unknown_in(*pair) for at, pair in pairs}
        parts = {at: part for at, part in found.items() if part is not None}
        return UnknownItems(items, parts) if parts else None
    return None


def with_unknown(value: Any, unknown: Any) -> Any:
    """Return a value that is to be written, with what is unknown where its place is still there.

    An item of a list has its place as long as nobody has changed the list, and then as long as it is the only
    one of its kind: what belonged to one must not be another's.
    """
    if isinstance(unknown, Unknown) and isinstance(value, dict):
        known = cast("dict[Any, Any]", value)
        below = {key: with_unknown(known[key], part) for key, part in unknown.below.items() if key in known}
        return unknown.own | known | below
    if isinstance(unknown, UnknownItems) and isinstance(value, list):
        items = cast("list[Any]", value)
        if items == unknown.read:
            return [with_unknown(item, unknown.parts.get(at)) for at, item in enumerate(items)]
        return [with_unknown(item, _part_of(item, items, unknown)) for item in items]
    return value


def _part_of(item: Any, items: list[Any], unknown: UnknownItems) -> Any:
    if unknown.read.count(item) != 1 or items.count(item) != 1:
        return None
    return unknown.parts.get(unknown.read.index(item))
