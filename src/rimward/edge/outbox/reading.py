"""What is read back from the outbox's file while the writer's thread writes it: values by key, never rows."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from rimward.events import OutboxBroken

LAZY_SPACES = ("changed:", "due:", "state:", "stream:")  # whose values stay on disk until they are asked for
_ENDS = ("", *(f"{space[:-1]};" for space in LAZY_SPACES))  # ";" comes after ":"
_ANY = tuple(zip(_ENDS, (*LAZY_SPACES, "\U0010ffff"), strict=True))  # what is between these
Cells = dict[tuple[str, str], bytes | None]
Touched = dict[tuple[str, str], Callable[[], bytes | None]]


def eager_cells(db: sqlite3.Connection) -> dict[str, dict[str, bytes]]:
    """Return every space's keys and values, but those that stay on disk."""
    spaces: dict[str, dict[str, bytes]] = {}
    query = "select space, key, value from cell where space >= ? and space < ?"
    for since, until in _ANY:
        for space, key, value in db.execute(query, (since, until)):
            spaces.setdefault(space, {})[key] = value
    return spaces


class Reader:
    """A connection of its own, for the loop's thread; it sees what is committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)
        return self._db

    def _rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        try:
            return self._connection().execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise OutboxBroken(f"{self._path}: {error}") from error

    def find(self, space: str, key: str) -> bytes | None:
        """Return a committed value.

        Raises:
            OutboxBroken: the file can't be read.
        """
        rows = self._rows("select value from cell where space = ? and key = ?", space, key)
        return bytes(rows[0][0]) if rows else None  # pyright: ignore[reportArgumentType] (the column is a blob)

    def keys(self, space: str, since: str, until: str, most: int) -> list[str]:
        """Return the first keys from `since` to before `until`, in order."""
        query = "select key from cell where space = ? and key >= ? and key < ? order by key limit ?"
        return [str(key) for (key,) in self._rows(query, space, since, until, most)]

    def page(self, space: str, since: str, most: int) -> list[tuple[str, bytes]]:
        """Return the first keys from `since` on with their values, in order."""
        query = "select key, value from cell where space = ? and key >= ? order by key limit ?"
        return [(str(key), bytes(value)) for key, value in self._rows(query, space, since, most)]  # pyright: ignore[reportArgumentType] (the column is a blob)

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        [(found,)] = self._rows("select count(*) from cell where space = ?", space)
        assert isinstance(found, int)
        return found

    def space(self, space: str) -> dict[str, bytes]:
        """Return all keys and values of a space."""
        rows = self._rows("select key, value from cell where space = ?", space)
        return {str(key): bytes(value) for key, value in rows}  # pyright: ignore[reportArgumentType] (the column is a blob)

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.close()
            self._db = None


class ReadBack:
    """What an outbox is asked for by key: the newest value counts, written or not."""

    def __init__(self, path: Path) -> None:
        self.reader: Reader = Reader(path)

    def unwritten(self) -> tuple[Touched, list[Cells]]:
        """Return what waits to be written: touched values, and groups of cells, the newest first."""
        raise NotImplementedError

    def find(self, space: str, key: str) -> bytes | None:
        """Return a value as it was put or touched last.

        Raises:
            OutboxBroken: it can't be read.
        """
        place = (space, key)
        touched, groups = self.unwritten()
        if (encode := touched.get(place)) is not None:
            return encode()
        for cells in groups:
            if place in cells:
                return cells[place]
        return self.reader.find(space, key)

    def keys(self, space: str, since: str, until: str, most: int) -> list[str]:
        """Return the first committed keys from `since` to before `until` of which nothing newer waits."""
        touched, groups = self.unwritten()
        found: list[str] = []
        while most > len(found):
            rows = self.reader.keys(space, since, until, most)
            for key in rows:
                place = (space, key)
                if place not in touched and not any(place in cells for cells in groups):
                    found.append(key)
            if len(rows) < most:
                break
            since = f"{rows[-1]}\0"
        return found[:most]

    def page(self, space: str, since: str, most: int) -> tuple[list[tuple[str, bytes]], str | None]:
        """Return about so many keys from `since` on with their values as they were put last, in order.

        Beside them comes where to go on, None at the end; what is touched and not written yet is left out.

        Raises:
            OutboxBroken: the file can't be read.
        """
        _, groups = self.unwritten()
        newer = {
            key: value
            for cells in reversed(groups)
            for (of, key), value in cells.items()
            if of == space and key >= since
        }
        rows = self.reader.page(space, since, most)
        last = f"{rows[-1][0]}\0" if len(rows) == most else None
        found: dict[str, bytes | None] = dict(rows)
        found |= {key: value for key, value in newer.items() if last is None or key < last}
        return sorted((key, value) for key, value in found.items() if value is not None), last

    def count(self, space: str) -> int:
        """Return how many keys of a space are committed."""
        return self.reader.count(space)
