"""Patterns of two sides of one key: A then B within a time, and A without B.

Each A is answered by the first B that is after it, if that comes within the time, by the events' times; a
B answers every A that waits. So each A has exactly one end: it was followed, or it was not. A and B of one
moment don't answer each other.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from rimward.streams.items import Aside, Item
from rimward.streams.joins import Combine, Merged, check_held
from rimward.streams.values import Codec

_NOTHING: Sequence[Item] = ()


class _Waiting(Merged):
    """The A that wait for a B: the left side for the right one."""

    def __init__(self, within_ns: int, lateness_ns: int, aside: Aside, codecs: tuple[Codec, Codec]) -> None:
        super().__init__(lateness_ns, aside, codecs)
        self._within = within_ns
        self._open: deque[tuple[int, int, Any]] = deque()  # time, number, A; oldest first

    def left(self, item: Item) -> Sequence[Item]:
        """Take an A.

        Raises:
            WindowFull: as many wait as may.
        """
        check_held(len(self._open), type(self).__name__.lower())
        return super().left(item)

    def meet(self, time: int, value: Any, *, left: bool) -> Sequence[Item]:
        """Take the next item."""
        if left:
            self.count: int = self.count + 1
            self._open.append((time, self.count, value))
            return _NOTHING
        answered = [one for one in self._open if one[0] < time]
        self._open = deque(one for one in self._open if one[0] >= time)
        return self.answer(time, value, answered)

    def answer(self, time: int, value: Any, answered: list[tuple[int, int, Any]]) -> Sequence[Item]:
        """Take a B for the A that it answers."""
        raise NotImplementedError

    def expire(self, overdue: list[tuple[int, int, Any]]) -> Sequence[Item]:
        """Take A that no B has answered."""
        raise NotImplementedError

    def pass_on(self, watermark: int) -> Sequence[Item]:
        """Let the A go whose time is over: a B at the very end of it would still answer."""
        overdue: list[tuple[int, int, Any]] = []
        while self._open and self._open[0][0] + self._within < watermark:
            overdue.append(self._open.popleft())
        return self.expire(overdue) if overdue else _NOTHING

    def deadline(self) -> int | None:
        """Return when the next item is met, or the oldest A's time is over."""
        met = super().deadline()
        if not self._open:
            return met
        over = self._open[0][0] + self._within + self._lateness
        return over if met is None else min(met, over)

    def snapshot(self) -> Any:
        """Return the state as builtins."""
        encode = self.codecs[0].encode
        return [super().snapshot(), [[time, number, encode(value)] for time, number, value in self._open]]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        if snapshot is not None:
            super().restore(snapshot[0])
            decode = self.codecs[0].decode
            self._open = deque((time, number, decode(value)) for time, number, value in snapshot[1])


class Followed(_Waiting):
    """Combines each A with the first B after it, where that comes within the time; at the B's time."""

    def __init__(
        self, within_ns: int, lateness_ns: int, combine: Combine, aside: Aside, codecs: tuple[Codec, Codec]
    ) -> None:
        super().__init__(within_ns, lateness_ns, aside, codecs)
        self._combine = combine

    def answer(self, time: int, value: Any, answered: list[tuple[int, int, Any]]) -> Sequence[Item]:
        """Take a B for the A that it answers."""
        items: list[Item] = []
        for _, number, first in answered:
            try:
                items.append((time, self._combine(first, value), f"{time}.{number}"))
            except Exception as error:  # noqa: BLE001 (a user's combine: it is told, and holds up no other A)
                self._aside.errors.append(((time, value, f"{time}.{number}"), error))
        return items

    def expire(self, overdue: list[tuple[int, int, Any]]) -> Sequence[Item]:
        """Forget A that no B has answered."""
        del overdue
        return _NOTHING


class NotFollowed(_Waiting):
    """Passes each A that no B has answered within the time, at the end of it."""

    def __init__(self, within_ns: int, lateness_ns: int, aside: Aside, codecs: tuple[Codec, Codec]) -> None:
        super().__init__(within_ns, lateness_ns, aside, codecs)
        self.delay: int = lateness_ns + within_ns

    def answer(self, time: int, value: Any, answered: list[tuple[int, int, Any]]) -> Sequence[Item]:
        """Forget the A that a B answers."""
        del time, value, answered
        return _NOTHING

    def expire(self, overdue: list[tuple[int, int, Any]]) -> Sequence[Item]:
        """Take A that no B has answered."""
        return [(time + self._within, value, f"{time}.{number}") for time, number, value in overdue]
