"""Geofences of one key: entering, leaving and staying in polygons."""

from collections.abc import Callable, Sequence
from typing import Any

from rimward.app.steps import Fence
from rimward.events import from_ns
from rimward.streams.items import Aside, Item
from rimward.streams.polygons import Polygons

_NOTHING: Sequence[Item] = ()


class Fences:
    """Turns a key's positions into `Fence`s; a position older than the one before is late.

    The key is outside of all fences before its first position. `dwell` is told once a stay, at the moment
    at which it has lasted that long, whether or not a position comes then.
    """

    __slots__ = ("_aside", "_due", "_dwell", "_found", "_inside", "_polygons", "_time", "_x", "_y", "late")

    delay: int = 0

    def __init__(
        self,
        polygons: Polygons,
        x: Callable[[Any], Any],
        y: Callable[[Any], Any],
        dwell_ns: int | None,
        aside: Aside,
    ) -> None:
        self._polygons = polygons
        self._x, self._y = x, y
        self._dwell = dwell_ns
        self._aside = aside
        self._time: int | None = None  # of the newest position
        self._inside: dict[str, list[Any]] = {}  # name: entered at, whether its dwell is told
        self._found: list[str] = []  # the same names, in the polygons' order
        self._due: int | None = None  # ns, at which the next stay has lasted long enough
        self.late: int = 0

    def insert(self, item: Item) -> Sequence[Item]:
        """Take a position; return what it tells, leavings first."""
        time, value, _ = item
        x, y = self._x(value), self._y(value)
        if self._time is not None and time < self._time:
            self.late += 1
            self._aside.lates.append(item)
            return _NOTHING
        if x is None or y is None:
            return _NOTHING
        found = self._polygons.at(x, y)
        self._time = time
        due = self._due
        if found == self._found and (due is None or due > time):
            return _NOTHING
        items = list(self.advance(time))
        self._found = found
        for name in [name for name in self._inside if name not in found]:
            del self._inside[name]
            items.append(_told(name, "exit", time))
        for name in found:
            if name not in self._inside:
                self._inside[name] = [time, False]
                items.append(_told(name, "enter", time))
        self._due = self._next()
        return items

    def advance(self, clock: int) -> Sequence[Item]:
        """Tell of the stays that have lasted long enough."""
        if self._dwell is None or self._due is None or self._due > clock:
            return _NOTHING
        items: list[Item] = []
        for name, stay in self._inside.items():
            if not stay[1] and stay[0] + self._dwell <= clock:
                stay[1] = True
                items.append(_told(name, "dwell", stay[0] + self._dwell))
        self._due = self._next()
        return sorted(items, key=lambda item: item[0])

    def deadline(self) -> int | None:
        """Return when the next stay has lasted long enough."""
        return self._due

    def _next(self) -> int | None:
        if self._dwell is None:
            return None
        return min((at + self._dwell for at, told in self._inside.values() if not told), default=None)

    def snapshot(self) -> Any:
        """Return where the key is."""
        return [self._time, self.late, [[name, *stay] for name, stay in self._inside.items()]]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state; fences that are not there any more are forgotten."""
        self._time, self.late, inside = snapshot or (None, 0, ())
        known = set(self._polygons.names)
        self._inside = {name: [at, told] for name, at, told in inside if name in known}
        self._found = [name for name in self._polygons.names if name in self._inside]
        self._due = self._next()


def _told(name: str, what: Any, at: int) -> Item:
    return at, Fence(name, what, from_ns(at)), f"{name}.{what}.{at}"
