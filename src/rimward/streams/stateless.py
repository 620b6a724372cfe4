"""Operators that look at one item alone, and what a user's function in them raises."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rimward.streams.items import Aside, Item, Untimed

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


class FlatMap(Untimed):
    """Puts each part of a value in its place; `time` gives a part's own time, None where it has none.

    What comes after it lives by the parts' times: a batch that was sent later than its parts were measured
    must not end their windows. Parts later than the aside's `until` are refused and counted there.
    """

    __slots__ = ("_aside", "_newest", "_open", "_sent", "_time")

    def __init__(
        self, open_: Callable[[Any], Iterable[Any]], time: Callable[[Any], int | None], aside: Aside
    ) -> None:
        super().__init__()
        self._open = open_
        self._time = time
        self._aside = aside
        self._sent: int | None = None  # ns, of the newest item when the newest part came
        self._newest: int | None = None  # ns, of the parts

    @property
    def lag(self) -> int:
        """How far the clock of the parts is behind that of the items, ns; less than 0 is ahead."""
        return 0 if self._sent is None or self._newest is None else self._sent - self._newest

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        at, value, mark = item
        parts: list[Item] = []
        newest, until, moved = self._newest, self._aside.until, False
        for number, part in enumerate(self._open(value)):
            own = self._time(part)
            time = at if own is None else own
            if time > until:
                self._aside.ahead += 1
                continue
            if newest is None or time >= newest:
                newest, moved = time, True
            parts.append((time, part, mark if mark is None else f"{mark}.{number}"))
        if moved:
            self._newest = newest
            self._sent = at if self._sent is None else max(self._sent, at)
        return parts

    def snapshot(self) -> Any:
        """Return the two clocks."""
        return None if self._newest is None else [self._sent, self._newest]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self._sent, self._newest = snapshot
