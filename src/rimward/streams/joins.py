"""Pairs of two sides of one key: by a tolerance of time, and as of a time."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from rimward.streams.accumulators import WindowFull
from rimward.streams.holding import MAX_HELD
from rimward.streams.items import Aside, Item
from rimward.streams.values import Codec
from rimward.streams.watermark import BEGINNING

Combine = Callable[[Any, Any], Any]
_NOTHING: Sequence[Item] = ()


def check_held(held: int, what: str) -> None:
    """Raise WindowFull where an operator holds all that it may."""
    if held >= MAX_HELD:
        raise WindowFull(f"{what} holds {held} items of one key, the limit is {MAX_HELD}: shorten its times")


class _Side:
    """The items of one side that may still find others, by time."""

    __slots__ = ("codec", "items", "times")

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.times: list[int] = []
        self.items: list[Any] = []

    def add(self, time: int, value: Any) -> None:
        place = bisect_right(self.times, time)
        self.times.insert(place, time)
        self.items.insert(place, value)

    def near(self, time: int, tolerance: int) -> list[tuple[int, Any]]:
        first, last = bisect_left(self.times, time - tolerance), bisect_right(self.times, time + tolerance)
        return list(zip(self.times[first:last], self.items[first:last], strict=True))

    def forget(self, before: int) -> None:
        place = bisect_left(self.times, before)
        if place:
            del self.times[:place], self.items[:place]

    def snapshot(self) -> list[Any]:
        return [list(self.times), [self.codec.encode(item) for item in self.items]]

    def restore(self, snapshot: Any) -> None:
        self.times = list(snapshot[0])
        self.items = [self.codec.decode(item) for item in snapshot[1]]


class Near:
    """Pairs each left item with each right one whose time is at most `tolerance` away, once both are there.

    An item older than the lateness allows is late. A pair's time is the later one's.
    """

    def __init__(
        self, tolerance_ns: int, lateness_ns: int, combine: Combine, aside: Aside, codecs: tuple[Codec, Codec]
    ) -> None:
        self.delay: int = lateness_ns + tolerance_ns
        self.late: int = 0
        self._tolerance = tolerance_ns
        self._lateness = lateness_ns
        self._combine = combine
        self._aside = aside
        self._left, self._right = _Side(codecs[0]), _Side(codecs[1])
        self._count = 0  # pairs made
        self._watermark = BEGINNING

    def left(self, item: Item) -> Sequence[Item]:
        """Take a left item; return its pairs, by the times of the right ones."""
        return self._take(item, self._left, self._right, self._combine)

    def right(self, item: Item) -> Sequence[Item]:
        """Take a right item; return its pairs, by the times of the left ones."""
        return self._take(item, self._right, self._left, lambda right, left: self._combine(left, right))

    def _take(self, item: Item, mine: _Side, others: _Side, combine: Combine) -> Sequence[Item]:
        time, value, _ = item
        if time < self._watermark:
            self.late += 1
            self._aside.lates.append(item)
            return _NOTHING
        check_held(len(mine.times), "join")
        mine.add(time, value)
        pairs: list[Item] = []
        for at, other in others.near(time, self._tolerance):
            self._count += 1
            newest = max(time, at)
            mark = f"{newest}.{self._count}"
            try:
                pairs.append((newest, combine(value, other), mark))
            except Exception as error:  # noqa: BLE001 (a user's combine: it is told, and holds up no other pair)
                self._aside.errors.append(((newest, value, mark), error))
        self._follow(time - self._lateness)
        return pairs

    def _follow(self, watermark: int) -> None:
        if watermark > self._watermark:
            self._watermark = watermark
            for side in (self._left, self._right):
                side.forget(watermark - self._tolerance)

    def advance(self, clock: int) -> Sequence[Item]:
        """Forget what can find no other any more."""
        self._follow(clock - self._lateness)
        return _NOTHING

    def deadline(self) -> int | None:
        """Return when the oldest item can be forgotten."""
        oldest = [side.times[0] for side in (self._left, self._right) if side.times]
        return min(oldest) + self.delay + 1 if oldest else None

    def snapshot(self) -> Any:
        """Return the state as builtins."""
        return [self.late, self._count, self._watermark, self._left.snapshot(), self._right.snapshot()]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        if snapshot is not None:
            self.late, self._count, self._watermark, left, right = snapshot
            self._left.restore(left)
            self._right.restore(right)


class Merged:
    """Brings both sides into the order of their times, the right one first where they are equal.

    What a pair does with an item it says in `meet`, once nothing older is waited for.
    """

    def __init__(self, lateness_ns: int, aside: Aside, codecs: tuple[Codec, Codec]) -> None:
        self.delay: int = lateness_ns
        self.late: int = 0
        self.watermark: int = BEGINNING
        self._lateness = lateness_ns
        self._aside = aside
        self.codecs: tuple[Codec, Codec] = codecs  # of left and right values
        self._heap: list[tuple[int, int, int, Any]] = []  # time; 0 is right, 1 left; number; value
        self.count: int = 0  # items taken

    def meet(self, time: int, value: Any, *, left: bool) -> Sequence[Item]:
        """Take the next item."""
        raise NotImplementedError

    def pass_on(self, watermark: int) -> Sequence[Item]:
        """Hear that no item before the watermark comes any more."""
        raise NotImplementedError

    def left(self, item: Item) -> Sequence[Item]:
        """Take a left item."""
        return self._take(item, 1)

    def right(self, item: Item) -> Sequence[Item]:
        """Take a right item."""
        return self._take(item, 0)

    def _take(self, item: Item, side: int) -> Sequence[Item]:
        time = item[0]
        if time <= self.watermark:  # of equal times an item may have been met already
            self.late += 1
            self._aside.lates.append(item)
            return _NOTHING
        check_held(len(self._heap), type(self).__name__.lower())
        self.count += 1
        heappush(self._heap, (time, side, self.count, item[1]))
        return _NOTHING

    def advance(self, clock: int) -> Sequence[Item]:
        """Meet what nothing older is waited for."""
        self.watermark = watermark = max(self.watermark, clock - self._lateness)
        out: list[Item] = []
        while self._heap and self._heap[0][0] <= watermark:
            time, side, _, value = heappop(self._heap)
            out += self.pass_on(time)
            try:
                out += self.meet(time, value, left=side == 1)
            except Exception as error:  # noqa: BLE001 (a user's combine: it is told, and holds up no other item)
                self._aside.errors.append(((time, value, str(time)), error))
        out += self.pass_on(watermark + 1)
        return out

    def deadline(self) -> int | None:
        """Return when the oldest item is met."""
        return self._heap[0][0] + self._lateness if self._heap else None

    def snapshot(self) -> Any:
        """Return what waits, oldest first."""
        waiting = sorted(self._heap, key=lambda entry: entry[:3])
        held = [[time, side, n, self.codecs[1 - side].encode(value)] for time, side, n, value in waiting]
        return [self.late, self.count, self.watermark, held]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        if snapshot is not None:
            left, right = self.codecs
            self.late, self.count, self.watermark, held = snapshot
            self._heap = [
                (time, side, n, (left if side else right).decode(value)) for time, side, n, value in held
            ]


class AsOf(Merged):
    """Gives each left item the newest right one not after it, None where none is within `tolerance`."""

    def __init__(
        self, tolerance_ns: int | None, lateness_ns: int, combine: Combine, aside: Aside,
        codecs: tuple[Codec, Codec],
    ) -> None:  # fmt: skip
        super().__init__(lateness_ns, aside, codecs)
        self._tolerance = tolerance_ns
        self._combine = combine
        self._newest: tuple[int, Any] | None = None

    def meet(self, time: int, value: Any, *, left: bool) -> Sequence[Item]:
        """Take the next item."""
        if not left:
            self._newest = (time, value)
            return _NOTHING
        newest = self._newest
        if newest is not None and self._tolerance is not None and time - newest[0] > self._tolerance:
            newest = None
        self.count: int = self.count + 1
        found = self._combine(value, None if newest is None else newest[1])
        return ((time, found, f"{time}.{self.count}"),)

    def pass_on(self, watermark: int) -> Sequence[Item]:
        """Do nothing: the newest right item stays."""
        del watermark
        return _NOTHING

    def snapshot(self) -> Any:
        """Return the state as builtins."""
        newest = None if self._newest is None else [self._newest[0], self.codecs[1].encode(self._newest[1])]
        return [super().snapshot(), newest]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        if snapshot is not None:
            super().restore(snapshot[0])
            newest = snapshot[1]
            if newest is None:
                self._newest = None
            else:
                time, value = newest
                self._newest = (time, self.codecs[1].decode(value))
