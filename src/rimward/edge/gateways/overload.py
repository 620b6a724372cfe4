"""What a node refuses while it has too much to do: the lowest class first.

The classes are those of `@app.edge(…, priority=)`. A node has too much to do when its loop runs late, or when
its outbox fills up. What was refused is admitted again only when the node has been calm for a while.
"""

from collections.abc import Callable
from math import ceil

from msgspec import Struct

LOWEST_FIRST = ("bulk", "normal", "critical")


class OverloadConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """From when on a class is refused."""

    bulk_lag: float = 0.1  # seconds that the loop is late
    normal_lag: float = 0.5
    bulk_fill: float = 0.8  # of the outbox, from 0 to 1
    normal_fill: float = 0.95
    calm: float = 3.0  # seconds without need before a class is admitted again


class Overload:
    """Which classes are refused now."""

    def __init__(self, config: OverloadConfig, fill: Callable[[], float] = lambda: 0.0) -> None:
        """`fill` says how full the outbox is, from 0 to 1."""
        self.level = 0  # how many of the classes are refused, the lowest first
        self._config = config
        self._fill = fill
        self._needed_at = 0.0  # when the present level was needed last

    def look(self, lag: float, now: float) -> bool:
        """Take the loop's lateness, seconds, and return whether another level holds from now on."""
        config, fill = self._config, self._fill()
        wanted = 0
        if lag >= config.normal_lag or fill >= config.normal_fill:
            wanted = 2
        elif lag >= config.bulk_lag or fill >= config.bulk_fill:
            wanted = 1
        before = self.level
        if wanted >= before:
            self._needed_at: float = now
        elif now - self._needed_at < config.calm:
            wanted = before
        else:
            wanted = before - 1
            self._needed_at = now
        self.level: int = wanted
        return wanted != before

    @property
    def again_after(self) -> int:
        """Return the seconds after which a refused class may be admitted again, at the earliest."""
        return max(1, ceil(self._config.calm))

    def refuses(self, priority: str) -> bool:
        """Tell whether a class is refused."""
        return LOWEST_FIRST.index(priority) < self.level
