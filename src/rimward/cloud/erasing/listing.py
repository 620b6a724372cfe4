"""The list of erasures: in the hub's folder, and once more in the lake, so that it outlives either."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from rimward.app.manifest import Column
from rimward.cloud.lake.storage import Storage
from rimward.network.secretfile import write_secret
from rimward.wire import Row
from rimward.wire.erasing import Erasure, Order, Orders, is_later, name_of

NAME = "_erasures.json"
MOST = 10_000  # erasures; a hub with more is to be asked by field, not by person
Known = Mapping[str, Mapping[str, tuple[Column, ...]]]  # every form, by table and fingerprint


class TooManyErasures(ValueError):
    """The list is full."""


class Erasures:
    """The list as one process reads it: again when the hub's file has changed."""

    def __init__(self, data: Path, lake: Storage) -> None:
        self._path = data / "hub" / NAME.removeprefix("_")
        self._lake = lake
        self._seen = 0, 0
        self._all: tuple[Erasure, ...] = ()

    def all(self) -> tuple[Erasure, ...]:
        """Return every erasure, the oldest first.

        Raises:
            OSError: the file can't be read: nobody may go on as if there were none.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._all
        if (seen := (found.st_mtime_ns, found.st_ino)) != self._seen:
            self._all = msgspec.json.decode(self._path.read_bytes(), type=tuple[Erasure, ...])
            self._seen = seen
        return self._all

    def of(self, table: str) -> tuple[Erasure, ...]:
        """Return those under which rows of a table may fall."""
        found = self.all()
        return tuple(one for one in found if one.concerns(table)) if found else ()

    @property
    def name(self) -> str:
        """What names the list as it is now."""
        return name_of(self.all())

    def add(self, fresh: Erasure) -> None:
        """Put one on the list, in both places, on stable storage.

        Raises:
            TooManyErasures: it is full.
            OSError: the disk or the store refused it.
        """
        self._write((*self.heal(), fresh))

    def lift(self, id_: str) -> bool:
        """Take one off the list: what comes of its key is stored again; tell whether it was there.

        Raises:
            OSError: the disk or the store refused it.
        """
        found = self.heal()
        left = tuple(one for one in found if one.id != id_)
        if len(left) < len(found):
            self._write(left)
        return len(left) < len(found)

    def heal(self) -> tuple[Erasure, ...]:
        """Give each place what only the other has, and return all."""
        here = self.all()
        written = self._lake.read(NAME)
        there = msgspec.json.decode(written, type=tuple[Erasure, ...]) if written else ()
        both = {one.id: one for one in (*there, *here)}
        merged = tuple(sorted(both.values(), key=_at))
        if len(merged) != len(here) or len(merged) != len(there):
            self._write(merged)
        return merged

    def _write(self, found: tuple[Erasure, ...]) -> None:
        if len(found) > MOST:
            raise TooManyErasures(f"there are {MOST} erasures, the limit")
        text = msgspec.json.encode(found)
        self._lake.put(NAME, text)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_secret(self._path, text)

    def orders(self, forms: Known) -> Orders:
        """Return the list as nodes carry it out."""
        found = self.all()
        return Orders(name_of(found), tuple(Order(one, _columns(one, forms)) for one in found))


class Rules:
    """The erasures of one table, asked of row after row."""

    def __init__(self, erasures: Iterable[Erasure]) -> None:
        self._erasures = tuple(erasures)
        self._known: dict[tuple[str, object], bool] = {}

    def takes(self, row: Row, columns: tuple[Column, ...] | None) -> bool:
        """Tell whether a row falls under one; without columns any cell may be the field."""
        if not row.values:
            return True  # its node has erased it
        for one in self._erasures:
            if is_later(row, one.at):
                continue
            cells = row.values
            if columns is not None:
                pairs = zip(row.values, columns, strict=False)
                cells = tuple(cell for cell, column in pairs if column.name == one.field)
            if any(self._is(one, cell) for cell in cells):
                return True
        return False

    def _is(self, one: Erasure, cell: object) -> bool:
        if isinstance(cell, list | dict | tuple):
            return False
        key = one.id, cell
        if key not in self._known:
            if len(self._known) > MOST:
                self._known.clear()
            self._known[key] = one.takes(cell)
        return self._known[key]


def _columns(one: Erasure, forms: Known) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for table, known in forms.items():
        if one.concerns(table):
            places = {
                fingerprint: index
                for fingerprint, columns in known.items()
                for index, column in enumerate(columns)
                if column.name == one.field
            }
            if places:
                found[table] = places
    return found


def _at(one: Erasure) -> int:
    return one.at
