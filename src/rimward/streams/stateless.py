"""Operators that look at one item alone, and what a user's function in them raises."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rimward.streams.items import Item, Untimed

_NOTHING: Sequence[Item] = ()


class _Stateless(Untimed):
    __slots__ = ()

    def snapshot(self) -> Any:
        """Return that there is no state."""

    def restore(self, snapshot: Any) -> None:
        """Do nothing."""


class Filter(_Stateless):
    """Passes what the test accepts."""

    __slots__ = ("_test",)

    def __init__(self, test: Callable[[Any], bool]) -> None:
        super().__init__()
        self._test = test

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        return (item,) if self._test(item[1]) else _NOTHING


class Map(_Stateless):
    """Changes each value."""

    __slots__ = ("_change",)

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self._change = change

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        return ((item[0], self._change(item[1]), item[2]),)


class FlatMap(_Stateless):
    """Puts each part of a value in its place; `time` gives a part's own time, None where it has none."""

    __slots__ = ("_open", "_time")

    def __init__(self, open_: Callable[[Any], Iterable[Any]], time: Callable[[Any], int | None]) -> None:
        super().__init__()
        self._open = open_
        self._time = time

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        at, value, mark = item
        parts: list[Item] = []
        for number, part in enumerate(self._open(value)):
            own = self._time(part)
            parts.append((at if own is None else own, part, mark if mark is None else f"{mark}.{number}"))
        return parts
