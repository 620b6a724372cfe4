"""Windows as an operator: what they close leaves as items, each at its window's end."""

from collections.abc import Callable, Sequence
from typing import Any

from rimward.streams.items import Aside, Item
from rimward.streams.window import Closed, Windows

_NOTHING: Sequence[Item] = ()


class Windowed:
    """Folds a key's items by its windows.

    `finish` makes a window's result the value that goes on. `numbered` windows may begin at equal times: a
    running number tells them apart.
    """

    __slots__ = ("_aside", "_count", "_finish", "_numbered", "_windows", "delay")

    def __init__(
        self,
        windows: Windows[Any],
        lateness_ns: int,
        aside: Aside,
        finish: Callable[[Any], Any],
        *,
        numbered: bool = False,
    ) -> None:
        self.delay: int = lateness_ns
        self._windows = windows
        self._aside = aside
        self._finish = finish
        self._numbered = numbered
        self._count = 0  # windows that have closed

    @property
    def late(self) -> int:
        """Items whose windows were closed when they came."""
        return self._windows.late

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item; return what the windows that it closed come to."""
        windows = self._windows
        late = windows.late
        closed = windows.insert(item[0], item[1])
        if windows.late != late:
            self._aside.lates.append(item)
        return self._items(closed) if closed else _NOTHING

    def advance(self, clock: int) -> Sequence[Item]:
        """Return what the windows that are over come to."""
        closed = self._windows.advance(clock - self.delay)
        return self._items(closed) if closed else _NOTHING

    def deadline(self) -> int | None:
        """Return the clock at which the next window is over."""
        watermark = self._windows.deadline()
        return None if watermark is None else watermark + self.delay

    def snapshot(self) -> Any:
        """Return the state as builtins."""
        return [self._count, self._windows.snapshot()]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        if snapshot is not None:
            count, windows = snapshot
            self._windows.restore(windows)
            self._count = count

    def _items(self, closed: list[Closed[Any]]) -> list[Item]:
        items: list[Item] = []
        for window in closed:
            self._count += 1
            mark = f"{window.start}.{self._count}" if self._numbered else str(window.start)
            if window.error is not None:
                self._aside.errors.append(((window.end, None, mark), window.error))
                continue
            try:
                value = self._finish(window.value)
            except Exception as error:  # noqa: BLE001 (a value that the result's type refuses: told, like a fold that raises)
                self._aside.errors.append(((window.end, None, mark), error))
                continue
            items.append((window.end, value, mark))
        return items
