# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""The cloud's files read by others: what is stored, when an envelope came, how the hub is."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from msgspec import Struct

from rimward.cloud.lake.expiring import gone
from rimward.cloud.lake.storage import Storage, lake_of
from rimward.cloud.ledger.counting import Counted, count
from rimward.cloud.ledger.sides import Sides
from rimward.cloud.ledger.stored import Selection, Stored
from rimward.cloud.store import hub_status
from rimward.wire import split_version, table_of, transaction_id
from rimward.wire.system import SYSTEM

SYSTEM_TABLES = {spec.table for spec in SYSTEM}


class EnvelopeLog(Struct, frozen=True):
    """The times of one envelope, ns."""

    sealed_at: int
    received_at: int
    committed_at: int
    version: int


def lanes_stored(data: Path, wanted: Iterable[Selection] = ()) -> list[Stored]:
    """Count every fact's rows by node, with the marks of the same snapshot.

    Each selection is counted by itself; a node that none is about is counted whole.
    """
    lake, asked = lake_of(data), list(wanted)
    names = set(lake.tables())
    facts = {name for name in names if not name.startswith("_")} | SYSTEM_TABLES & names
    counted = Counted(data / "hub" / "counted.db" if (data / "hub").is_dir() else None)
    try:
        sides, known = Sides(lake, names), _nodes(lake, names)
        found: list[Stored] = []
        for name in sorted(facts | sides.facts()):
            table = lake.open(name) if name in facts else None
            parts = [] if table is None else counted.parts(table, name)
            nodes = {part.node for part in parts} | sides.nodes(name)
            left = _gone((table, sides.dead_table), name, nodes | known)
            nodes |= set(left)
            more = [Selection(node) for node in sorted(nodes - {one.node for one in asked})]
            for one in [*(one for one in asked if one.node in nodes), *more]:
                rows = 0 if table is None else count(table, name, parts, one)
                found.append(_stored(name, one, rows, left.get(one.node, (0, 0)), (table, sides)))
    finally:
        counted.close()
    return sorted(found, key=lambda one: (one.fact, one.node, one.first))


def _stored(
    name: str, wanted: Selection, rows: int, gone: tuple[int, int], found: tuple[DeltaTable | None, Sides]
) -> Stored:
    table, sides = found
    node, causes = wanted.node, sides.lost(name, wanted)
    lanes = dict.fromkeys((name, *(lane for lane in wanted.lanes if table_of(lane) == name)))
    marks = {lane: split_version(_mark(table, sides.dead_table, node, lane)) for lane in lanes}
    return Stored(
        node, name, rows, sides.dead(name, wanted), *marks[name], lost=sum(causes.values()), causes=causes,
        expired=gone[0], erased=gone[1],
        marks={lane: mark for lane, mark in marks.items() if lane != name},
        first=wanted.first, end=wanted.end,
    )  # fmt: skip


def _nodes(lake: Storage, names: Iterable[str]) -> set[str]:
    """Return every node that rows ever came from."""
    if "_epochs" not in names:
        return set()
    rows: Any = lake.open("_epochs").to_pyarrow_dataset().to_table(columns=["_node"])
    return set(rows.column("_node").unique().to_pylist())


def _gone(
    tables: tuple[DeltaTable | None, DeltaTable | None], name: str, nodes: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Return how many rows have expired and were erased, dead letters too, of nodes of which any were."""
    table, dead = tables
    found: dict[str, tuple[int, int]] = {}
    for node in nodes:
        expired = gone(table, "expired", node, name) if table is not None else 0
        erased = sum(gone(one, "erased", node, name) for one in (table, dead) if one is not None)
        if expired or erased:
            found[node] = expired, erased
    return found


def _mark(table: DeltaTable | None, dead: DeltaTable | None, node: str, fact: str) -> int:
    """Return a lane's transaction version; of a fact that the app did not have, the dead letters know it."""
    application = transaction_id(node, fact)
    own = (table.transaction_version(application) if table is not None else None) or 0
    unknown = (dead.transaction_version(f"unknown:{application}") if dead is not None else None) or 0
    return max(own, unknown)


def envelopes_for(data: Path, node: str, counter: int, fact: str, seq: int) -> EnvelopeLog | None:
    """Return the envelope that brought a row, if the hub remembers it."""
    path = data / "hub" / "hub.db"
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        row = db.execute(
            "select sealed_at, received_at, committed_at, version from envelope "
            "where node = ? and counter = ? and fact = ? and first <= ? and last >= ? "
            "order by committed_at limit 1",
            (node, counter, fact, seq, seq),
        ).fetchone()
    return EnvelopeLog(*row) if row else None


__all__ = ["EnvelopeLog", "Selection", "Stored", "envelopes_for", "hub_status", "lanes_stored"]
