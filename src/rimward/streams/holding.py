"""Operators that hold items back until time has passed."""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from rimward.streams.accumulators import WindowFull
from rimward.streams.items import Aside, Item
from rimward.streams.values import PLAIN, Codec
from rimward.streams.watermark import BEGINNING

MAX_HELD = 10_000  # items that one operator of one key holds back

_NOTHING: Sequence[Item] = ()


class Debounce:
    """Passes an item that no other follows within `quiet`; one that is older than the held one is late."""

    __slots__ = ("_aside", "_codec", "_held", "delay", "late")

    def __init__(self, quiet_ns: int, aside: Aside, codec: Codec = PLAIN) -> None:
        self.delay: int = quiet_ns
        self.late: int = 0
        self._aside = aside
        self._codec = codec
        self._held: Item | None = None

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item; return the held one where it was alone for long enough."""
        held = self._held
        if held is not None and item[0] < held[0]:
            self.late += 1
            self._aside.lates.append(item)
            return _NOTHING
        self._held = item
        return (_made(held),) if held is not None and item[0] - held[0] >= self.delay else _NOTHING

    def advance(self, clock: int) -> Sequence[Item]:
        """Return the held item where it has been alone for long enough."""
        held = self._held
        if held is None or clock - held[0] < self.delay:
            return _NOTHING
        self._held = None
        return (_made(held),)

    def deadline(self) -> int | None:
        """Return when the held item leaves."""
        return None if self._held is None else self._held[0] + self.delay

    def snapshot(self) -> Any:
        """Return the held item."""
        if self._held is None and not self.late:
            return None
        return [self.late, None if self._held is None else _saved(self._held, self._codec)]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self.late, held = snapshot or (0, None)
        self._held = None if held is None else _loaded(held, self._codec)


class Ordered:
    """Passes items by their times, each as soon as nothing older is waited for; what is older still is late.

    Items of equal times keep the order in which they came.
    """

    __slots__ = ("_aside", "_codec", "_count", "_heap", "_passed", "delay", "late")

    def __init__(self, lateness_ns: int, aside: Aside, codec: Codec = PLAIN) -> None:
        self.delay: int = lateness_ns
        self.late: int = 0
        self._aside = aside
        self._codec = codec
        self._heap: list[tuple[int, int, Item]] = []
        self._count = 0
        self._passed = BEGINNING  # ns; nothing older passes any more

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item.

        Raises:
            WindowFull: it holds all that it may.
        """
        time = item[0]
        if time < self._passed:
            self.late += 1
            self._aside.lates.append(item)
            return _NOTHING
        if len(self._heap) >= MAX_HELD:
            raise WindowFull(f"ordered holds {MAX_HELD} items, the limit: shorten lateness=")
        self._count += 1
        heappush(self._heap, (time, self._count, item))
        return _NOTHING

    def advance(self, clock: int) -> Sequence[Item]:
        """Return the items for which nothing older is waited for."""
        self._passed = passed = max(self._passed, clock - self.delay)
        items: list[Item] = []
        while self._heap and self._heap[0][0] <= passed:
            time, count, item = heappop(self._heap)
            items.append(item if item[2] is not None else (time, item[1], f"{time}.{count}"))
        return items

    def deadline(self) -> int | None:
        """Return when the oldest item leaves."""
        return self._heap[0][0] + self.delay if self._heap else None

    def snapshot(self) -> Any:
        """Return the held items, oldest first."""
        if not self._count and not self.late:
            return None
        held = [[count, _saved(item, self._codec)] for _, count, item in sorted(self._heap)]
        return [self.late, self._passed, self._count, held]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self.late, self._passed, self._count, held = snapshot or (0, BEGINNING, 0, ())
        items = [(count, _loaded(item, self._codec)) for count, item in held]
        self._heap = [(item[0], count, item) for count, item in items]


def _made(item: Item) -> Item:
    """Return a held item with a name of its own: the message that it came with is over."""
    return item if item[2] is not None else (item[0], item[1], str(item[0]))


def _saved(item: Item, codec: Codec) -> list[Any]:
    return [item[0], codec.encode(item[1]), item[2]]


def _loaded(saved: Any, codec: Codec) -> Item:
    return saved[0], codec.decode(saved[1]), saved[2]
