# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""The lake's generation: raised each time that tables were found restored, kept in a table of the lake.

A mark of an older generation frees nothing. The table's own transaction is the lock: of two processes that
find the same restore, the second fails and looks again (docs/adr/0072).
"""

from operator import itemgetter
from typing import Protocol

import msgspec

from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.small import rows_of
from rimward.cloud.lake.tables import GENERATIONS, day_of, to_arrow

Seen = dict[str, tuple[str, int]]  # by table: its id and a version


class Memory(Protocol):
    """What somebody beside the lake remembers of its tables: an older copy of the lake can't know it."""

    def seen(self) -> Seen:
        """Return the newest version of each table that was there."""
        ...

    def saw(self, seen: Seen, *, anew: bool = False) -> None:
        """Remember versions; lower ones only `anew`."""
        ...


class InProcess:
    """A memory that lives as long as its process."""

    def __init__(self) -> None:
        self._seen: Seen = {}

    def seen(self) -> Seen:
        """Return the newest version of each table that was there."""
        return dict(self._seen)

    def saw(self, seen: Seen, *, anew: bool = False) -> None:
        """Remember versions; lower ones only `anew`."""
        for name, (table, version) in seen.items():
            known = self._seen.get(name)
            if anew or known is None or known[0] != table or known[1] < version:
                self._seen[name] = (table, version)


class Generations:
    """The generation, and what was taken account of when it was raised."""

    def __init__(self, table: DurableTable) -> None:
        self._table = table
        self.current: int = table.mark("generation")
        self.handled: Seen = {}
        rows = rows_of(table.handle, ["generation", "seen"])
        for row in sorted(rows, key=itemgetter("generation")):
            self.handled |= msgspec.json.decode(row["seen"], type=Seen)

    @property
    def id(self) -> str:
        """The lake's own id: another one where it was made anew."""
        return self._table.id

    def add(self, generation: int, reason: str, seen: Seen, now: int) -> None:
        """Begin a generation, on stable storage; `now` is wall ns.

        Raises:
            CommitFailedError: another process has just begun one.
        """
        row = (generation, reason, msgspec.json.encode(seen).decode(), now // 1000, day_of(now))
        self._table.write(to_arrow(GENERATIONS, [row]), {"generation": generation})
        self.current = generation
        self.handled |= seen
