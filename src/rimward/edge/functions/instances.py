"""The instance of a function: the globals of its module that it keeps, as they were when the app was loaded.

A call that is stopped may have left them half changed, so they are made anew (docs/adr/0105). A function that
keeps none has none: what it knows is in its arguments and its State, and those a stopped call leaves alone.
"""

import copy
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

from rimward.app.codes import assigned_globals, used_globals

_CONTAINERS = (dict, list, set, bytearray, deque, defaultdict, OrderedDict, Counter)
_MISSING = object()
LARGE = 10_000  # items of a container that is not copied


class Instance:
    """One function's globals as they were at load."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._globals: dict[str, Any] = getattr(function, "__globals__", {})
        self.odd: list[str] = []  # those of which no copy could be made
        self._kept: dict[str, Any] = {}
        mutable = {name for name in used_globals(function) if type(self._globals.get(name)) in _CONTAINERS}
        for name in sorted(assigned_globals(function) | mutable):
            if type(self._globals.get(name)) in _CONTAINERS and len(self._globals[name]) > LARGE:
                self.odd.append(name)
                continue
            try:
                self._kept[name] = copy.deepcopy(self._globals[name]) if name in self._globals else _MISSING
            except Exception:  # noqa: BLE001 (a user's object may refuse in any way: it is told)
                self.odd.append(name)

    @property
    def names(self) -> list[str]:
        """The globals that are made anew."""
        return list(self._kept)

    def renew(self) -> None:
        """Make them anew; a container stays the object that others may know, with what it held at load."""
        for name, value in self._kept.items():
            now = self._globals.get(name, _MISSING)
            if value is _MISSING:
                self._globals.pop(name, None)
            elif type(now) is type(value) and isinstance(now, _CONTAINERS):
                _refill(now, copy.deepcopy(value))
            else:
                self._globals[name] = copy.deepcopy(value)


def _refill(container: Any, value: Any) -> None:
    container.clear()
    fill = getattr(container, "update", None) or container.extend
    fill(value)
