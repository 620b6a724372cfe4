"""How much each fact brings, read from a node's outbox by others."""

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import Struct


class FactSize(Struct, frozen=True):
    """What one fact has brought in the time that the outbox still holds."""

    fact: str
    rows: int
    bytes: int  # as the outbox holds them, before compression
    seconds: float  # from the first row of any fact to the last


def read_sizes(data: Path) -> list[FactSize]:
    """Return every fact's size; none where there is no outbox, or it can't be read."""
    path = data / "node" / "outbox.db"
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as db:
            first, last = db.execute("select min(at), max(at) from chunk").fetchone()
            found = db.execute(
                "select fact, sum(last - first + 1), sum(length(body)) from chunk group by fact order by fact"
            ).fetchall()
    except sqlite3.Error:
        return []
    return [FactSize(fact, rows, size, (last - first) / 1e9) for fact, rows, size in found]
