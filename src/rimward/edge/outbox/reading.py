"""What is read back from the outbox's file while the writer's thread writes it: values by key, never rows."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from rimward.events import OutboxBroken

LAZY_SPACES = ("due:", "stream:")  # whose values stay on disk until they are asked for
_ANY = (("", "due:"), ("due;", "stream:"), ("stream;", "\U0010ffff"))  # what is between these
_Cells = dict[tuple[str, str], bytes | None]
_Touched = dict[tuple[str, str], Callable[[], bytes | None]]


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


class Overlay:
    """A reader through what waits to be written: the newest value counts, committed or not."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def find(self, space: str, key: str, touched: _Touched, *pending: _Cells) -> bytes | None:
        """Return a value as it will be once all that waits is written, the newest first."""
        place = (space, key)
        encode = touched.get(place)
        if encode is not None:
            return encode()
        for cells in pending:
            if place in cells:
                return cells[place]
        return self._reader.find(space, key)

    def keys(
        self, space: str, bounds: tuple[str, str, int], touched: _Touched, *pending: _Cells
    ) -> list[str]:
        """Return committed keys in bounds (since, until, at most) of which nothing newer waits."""
        since, until, most = bounds
        found: list[str] = []
        while most > len(found):
            rows = self._reader.keys(space, since, until, most)
            for key in rows:
                place = (space, key)
                if place not in touched and not any(place in cells for cells in pending):
                    found.append(key)
            if len(rows) < most:
                break
            since = f"{rows[-1]}\0"
        return found[:most]
