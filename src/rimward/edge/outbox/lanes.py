"""Which lane a fact's new rows go to: one of their own, where what is new overtakes a backlog."""

from collections.abc import Callable, Iterable

LANES = 4  # of a `live_first` fact; with all of them behind, new rows stay where they are


class LiveFirst:
    """The lanes of `live_first` facts since this start; every other fact has one, named as its table."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}  # by table

    def lane(self, table: str) -> str:
        """Return the lane that a fact's new rows go to."""
        return self._now.get(table, table)

    def overtake(self, tables: Iterable[str], waits: Callable[[str], bool]) -> None:
        """Give each fact whose lane has rows that wait a lane that has none, if there is one."""
        for table in tables:
            if waits(self.lane(table)):
                names = [table, *(f"{table}-{number}" for number in range(1, LANES))]
                self._now[table] = next((name for name in names if not waits(name)), self.lane(table))
