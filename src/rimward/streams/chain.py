"""The operators of one key one after the other, or two chains that meet in a pair."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from rimward.streams.items import Aside, Item, Operator, Untimed
from rimward.streams.stateless import FlatMap


class Chain(Protocol):
    """What becomes of the items of one key, from one or more sources."""

    delay: int

    @property
    def lag(self) -> int:
        """How far the clock of what leaves is behind the key's beside `delay`, ns: batches were opened."""
        ...

    def insert(self, source: int, item: Item) -> Sequence[Item]:
        """Take an item of a source; return what leaves."""
        ...

    def advance(self, clock: int) -> Sequence[Item]:
        """Hear how far the key's event time has come; return what leaves."""
        ...

    def deadline(self) -> int | None:
        """Return the clock at which `advance` has something to do."""
        ...

    def snapshot(self) -> Any:
        """Return the state as builtins."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        ...

    @property
    def late(self) -> int:
        """Items that came too late to count."""
        ...


class Line:
    """Operators one after the other.

    The first may raise on an item: it has changed nothing then. What raises behind the first is told to the
    aside and holds up no other item.
    """

    __slots__ = (
        "_aside",
        "_first",
        "_labels",
        "_only",
        "_opened",
        "_rest",
        "_source",
        "_steps",
        "_timed",
        "delay",
    )

    def __init__(
        self,
        operators: Sequence[Operator],
        aside: Aside,
        source: int = 0,
        labels: Sequence[str] = (),
        *,
        behind: int = 0,
    ) -> None:
        """Name the operators and say how far the items are behind the key's clock.

        Args:
            operators: in their order.
            aside: takes what leaves by the side.
            source: whose items it takes.
            labels: name the operators in snapshots, so that each finds its state when others come and go.
            behind: ns by which the source's items may come later than those that move the clock.
        """
        self._aside = aside
        self._source = source
        self._steps = tuple(operators)
        self._labels = tuple(labels) or tuple(str(index) for index in range(len(self._steps)))
        self._first = self._steps[0].insert if self._steps else None
        self._rest = tuple(one.insert for one in self._steps[1:])
        self._opened: tuple[FlatMap, ...] = ()
        self._timed: list[tuple[int, int, tuple[FlatMap, ...], Operator]] = []  # index, and what is before it
        waits = behind
        for index, one in enumerate(self._steps):
            if isinstance(one, FlatMap):
                self._opened += (one,)
            elif not isinstance(one, Untimed):
                self._timed.append((index, waits, self._opened, one))
            waits += one.delay
        self.delay: int = waits
        self._only: Callable[[], int | None] | None = None  # the deadline, where one operator alone has one
        if len(self._timed) == 1 and not self._timed[0][1] and not self._timed[0][2]:
            self._only = self._timed[0][3].deadline

    @property
    def lag(self) -> int:
        """How far the clock of what leaves is behind the key's beside `delay`, ns: batches were opened."""
        return _lag(self._opened)

    @property
    def late(self) -> int:
        """Items that came too late to count."""
        return sum(one.late for one in self._steps)

    def insert(self, source: int, item: Item) -> Sequence[Item]:
        """Take an item of a source; return what leaves."""
        if source != self._source:
            return ()
        if self._first is None:
            return (item,)
        items = self._first(item)
        return self._through(0, items) if items and self._rest else items

    def take(self, items: Sequence[Item]) -> Sequence[Item]:
        """Take items that another chain has made; return what leaves."""
        return self._through(-1, items) if items and self._steps else items

    def advance(self, clock: int) -> Sequence[Item]:
        """Hear how far the key's event time has come; return what leaves."""
        items: list[Item] = []
        for index, waits, opened, one in self._timed:
            found = one.advance(clock - waits - _lag(opened) if opened else clock - waits)
            if found:
                items += self._through(index, found)
        return items

    def deadline(self) -> int | None:
        """Return the clock at which `advance` has something to do."""
        if self._only is not None:
            return self._only()
        found: int | None = None
        for _, waits, opened, one in self._timed:
            at = one.deadline()
            if at is None:
                continue
            at += waits + _lag(opened) if opened else waits
            if found is None or at < found:
                found = at
        return found

    def snapshot(self) -> Any:
        """Return the state as builtins, by the operators' labels."""
        states = ((label, one.snapshot()) for label, one in zip(self._labels, self._steps, strict=True))
        return {label: state for label, state in states if state is not None}

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state; an operator that can't make sense of its own begins anew.

        What found no operator is told to the aside.
        """
        found = dict(snapshot)
        for label, one in zip(self._labels, self._steps, strict=True):
            state = found.get(label)
            try:
                if state is not None:
                    one.restore(state)
                    del found[label]
            except (TypeError, ValueError):  # msgspec's errors are ValueErrors
                continue
        self._aside.unfit += len(found)

    def _through(self, index: int, items: Sequence[Item]) -> Sequence[Item]:
        """Take items through the operators after one."""
        rest = self._rest[index:] if index >= 0 else (self._first, *self._rest)
        for insert in rest:
            assert insert is not None
            out: list[Item] = []
            for item in items:
                try:
                    out += insert(item)
                except Exception as error:  # noqa: BLE001 (a user's function: it is told, and holds up no other item)
                    self._aside.errors.append((item, error))
            items = out
        return items


def _lag(opened: tuple[FlatMap, ...]) -> int:
    return sum(one.lag for one in opened)


class Pair(Protocol):
    """What two sides meet in."""

    delay: int
    late: int

    def left(self, item: Item) -> Sequence[Item]:
        """Take an item of the left side; return what leaves."""
        ...

    def right(self, item: Item) -> Sequence[Item]:
        """Take an item of the right side; return what leaves."""
        ...

    def advance(self, clock: int) -> Sequence[Item]:
        """Hear how far the key's event time has come; return what leaves."""
        ...

    def deadline(self) -> int | None:
        """Return the clock at which `advance` has something to do."""
        ...

    def snapshot(self) -> Any:
        """Return the state as builtins."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        ...


class Joined:
    """Two chains that meet in a pair, and what comes after it.

    An item that goes both ways is a right one first.
    """

    __slots__ = ("_after", "_aside", "_left", "_pair", "_right", "delay")

    def __init__(self, left: Chain, right: Chain, pair: Pair, after: Line, aside: Aside) -> None:
        self._left = left
        self._right = right
        self._pair = pair
        self._after = after
        self._aside = aside
        self.delay: int = max(left.delay, right.delay) + pair.delay + after.delay

    @property
    def lag(self) -> int:
        """How far the clock of what leaves is behind the key's beside `delay`, ns: batches were opened."""
        return self._waits() - max(self._left.delay, self._right.delay) + self._after.lag

    @property
    def late(self) -> int:
        """Items that came too late to count."""
        return self._left.late + self._right.late + self._pair.late + self._after.late

    def insert(self, source: int, item: Item) -> Sequence[Item]:
        """Take an item of a source; return what leaves."""
        right, left = self._right.insert(source, item), self._left.insert(source, item)
        return self._after.take(self._meet(right, left)) if right or left else ()

    def advance(self, clock: int) -> Sequence[Item]:
        """Hear how far the key's event time has come; return what leaves."""
        met = self._meet(self._right.advance(clock), self._left.advance(clock))
        clock -= self._waits()
        met += self._pair.advance(clock)
        items = list(self._after.take(met))
        items += self._after.advance(clock - self._pair.delay)
        return items

    def deadline(self) -> int | None:
        """Return the clock at which `advance` has something to do."""
        found, waits = [self._left.deadline(), self._right.deadline()], self._waits()
        if (at := self._pair.deadline()) is not None:
            found.append(at + waits)
        if (at := self._after.deadline()) is not None:
            found.append(at + waits + self._pair.delay)
        return min((at for at in found if at is not None), default=None)

    def snapshot(self) -> Any:
        """Return the state as builtins."""
        return [part.snapshot() for part in (self._left, self._right, self._pair, self._after)]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        for part, state in zip((self._left, self._right, self._pair, self._after), snapshot, strict=True):
            part.restore(state)

    def _waits(self) -> int:
        """Return by how much the pair's clock is behind the key's, ns: the slower side's."""
        left, right = self._left, self._right
        return max(left.delay + left.lag, right.delay + right.lag)

    def _meet(self, right: Sequence[Item], left: Sequence[Item]) -> list[Item]:
        met: list[Item] = []
        for take, items in ((self._pair.right, right), (self._pair.left, left)):
            for item in items:
                try:
                    met += take(item)
                except Exception as error:  # noqa: BLE001 (a user's function: it is told, and holds up no other item)
                    self._aside.errors.append((item, error))
        return met


def run(chain: Chain, source: int, item: Item, clock: int) -> Sequence[Item]:
    """Take an item of a source when the key's clock, this item's time among it, stands at `clock`."""
    items = chain.insert(source, item)
    due = chain.deadline()
    if due is not None and due <= clock:
        return [*items, *chain.advance(clock)]
    return items
