"""A node's files read by others: how many rows each lane has given out and still holds."""

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import Struct


class LaneReport(Struct, frozen=True):
    """One lane of a node's outbox."""

    node: str
    fact: str
    counter: int  # 0: all lanes of earlier starts that the lake has whole
    forwarded: int  # rows numbered, ever
    held: tuple[tuple[int, int], ...]  # (first, last) of the chunks still here
    taken_at: tuple[int, ...] = ()  # wall ns at which each of these chunks was committed


def read_lanes(data: Path, node: str = "node-1") -> list[LaneReport]:
    """Return every lane of the outbox under a data folder; none where there is no outbox yet."""
    path = data / "node" / "outbox.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as db:
        db.execute("begin")  # lanes and chunks of one moment
        lanes = db.execute(
            "select counter, fact, last_seq from lane union all select 0, fact, rows from settled "
            "order by fact, counter"
        ).fetchall()
        chunks = db.execute("select counter, fact, first, last, at from chunk order by first").fetchall()
    held: dict[tuple[int, str], list[tuple[int, int]]] = {}
    taken: dict[tuple[int, str], list[int]] = {}
    for counter, fact, first, last, at in chunks:
        held.setdefault((counter, fact), []).append((first, last))
        taken.setdefault((counter, fact), []).append(at)
    return [
        LaneReport(
            node,
            fact,
            counter,
            last_seq,
            tuple(held.get((counter, fact), ())),
            tuple(taken.get((counter, fact), ())),
        )
        for counter, fact, last_seq in lanes
    ]
