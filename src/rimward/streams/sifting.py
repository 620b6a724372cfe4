"""Operators that let an item through or not, by what the key has shown before, in the order of arrival.

An item without the value that is looked at (None, NaN) passes none of them.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from rimward.events import RimwardError
from rimward.streams.items import Item, Untimed
from rimward.streams.values import PLAIN, Codec

MAX_SEEN = 10_000  # different values that one key's dedupe remembers

_NOTHING: Sequence[Item] = ()


class SeenFull(RimwardError):
    """A key has shown as many different values within its time as may be remembered."""

    code = "seen-full"


class Deadband(Untimed):
    """Passes a number that is at least `width` away from the last one that passed."""

    __slots__ = ("_get", "_last", "_width")

    def __init__(self, get: Callable[[Any], Any], width: float) -> None:
        super().__init__()
        self._get = get
        self._width = width
        self._last: float | None = None

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item.

        Raises:
            TypeError: the value is no number.
        """
        value, last = self._get(item[1]), self._last
        if value is None or value != value:  # noqa: PLR0124 (NaN is what differs from itself)
            return _NOTHING
        if last is not None and -self._width < value - last < self._width:
            return _NOTHING
        self._last = value + 0.0
        return (item,)

    def snapshot(self) -> Any:
        """Return the last number that passed."""
        return self._last

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self._last = snapshot


class Change(Untimed):
    """Passes an item whose value differs from that of the item before."""

    __slots__ = ("_codec", "_get", "_known", "_last")

    def __init__(self, get: Callable[[Any], Any], codec: Codec = PLAIN) -> None:
        super().__init__()
        self._get = get
        self._codec = codec
        self._known = False
        self._last: Any = None

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        value = self._get(item[1])
        if self._known and value == self._last:
            return _NOTHING
        self._known, self._last = True, value
        return (item,)

    def snapshot(self) -> Any:
        """Return the last value."""
        return [self._codec.encode(self._last)] if self._known else None

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self._known = snapshot is not None
        self._last = self._codec.decode(snapshot[0]) if snapshot is not None else None


class Throttle(Untimed):
    """Passes an item whose time is at least `period` after that of the last one that passed."""

    __slots__ = ("_next", "_period")

    def __init__(self, period_ns: int) -> None:
        super().__init__()
        self._period = period_ns
        self._next: int | None = None

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item."""
        if self._next is not None and item[0] < self._next:
            return _NOTHING
        self._next = item[0] + self._period
        return (item,)

    def snapshot(self) -> Any:
        """Return the time from which on one passes."""
        return self._next

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self._next = snapshot


class Dedupe(Untimed):
    """Passes the first item of each value; a value counts as new again `within` after it was last seen first.

    Raises SeenFull where a key shows more different values within that time than are remembered.
    """

    __slots__ = ("_codec", "_get", "_seen", "_within")

    def __init__(self, get: Callable[[Any], Any], within_ns: int, codec: Codec = PLAIN) -> None:
        super().__init__()
        self._get = get
        self._within = within_ns
        self._codec = codec
        self._seen: OrderedDict[Any, int] = OrderedDict()  # value: the time of the item that passed

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item.

        Raises:
            SeenFull: no more values can be remembered.
        """
        time, value, seen = item[0], self._get(item[1]), self._seen
        passed = seen.get(value)
        if passed is not None and abs(time - passed) < self._within:
            return _NOTHING
        while seen and time - next(iter(seen.values())) >= self._within:
            seen.popitem(last=False)
        if passed is None and len(seen) >= MAX_SEEN:
            raise SeenFull(f"dedupe remembers {len(seen)} values, the limit is {MAX_SEEN}: shorten within=")
        seen.pop(value, None)
        seen[value] = time
        return (item,)

    def snapshot(self) -> Any:
        """Return the values with their times."""
        return [[self._codec.encode(value), time] for value, time in self._seen.items()] or None

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self._seen = OrderedDict((self._codec.decode(value), time) for value, time in snapshot or ())
