# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The cloud's files read by others: what is stored, when an envelope came, how the hub is."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from msgspec import Struct

from rimward.cloud.expiring import gone
from rimward.cloud.storage import Storage, lake_of
from rimward.cloud.stored import Stored
from rimward.wire import split_version, transaction_id
from rimward.wire.system import SYSTEM

SYSTEM_TABLES = {spec.table for spec in SYSTEM}


class EnvelopeLog(Struct, frozen=True):
    """The times of one envelope, ns."""

    sealed_at: int
    received_at: int
    committed_at: int
    version: int


def lanes_stored(data: Path) -> list[Stored]:
    """Count every fact's rows by node, with the mark of the same snapshot."""
    lake = lake_of(data)
    names = lake.tables()
    dead, dead_table = _side(lake, names, "_dead")
    lost, _ = _side(lake, names, "_gap")
    known = _nodes(lake, names)
    facts = {name for name in names if not name.startswith("_")} | SYSTEM_TABLES & set(names)
    found: list[Stored] = []
    for name in sorted(facts | {fact for _, fact in dead}):
        table = lake.open(name) if name in facts else None
        counts = {} if table is None else _sum(table, ["_node"])
        nodes = {node for (node,) in counts} | {node for node, fact in (*dead, *lost) if fact == name}
        left = {} if table is None else _gone(table, name, nodes | known)
        for node in sorted(nodes | set(left)):
            place = split_version(_mark(table, dead_table, node, name))
            expired, erased = left.get(node, (0, 0))
            found.append(
                Stored(node, name, counts.get((node,), 0), dead.get((node, name), 0), *place,
                       lost=lost.get((node, name), 0), expired=expired, erased=erased)
            )  # fmt: skip
    return found


def _nodes(lake: Storage, names: Iterable[str]) -> set[str]:
    """Return every node that rows ever came from."""
    if "_epochs" not in names:
        return set()
    rows: Any = lake.open("_epochs").to_pyarrow_dataset().to_table(columns=["_node"])
    return set(rows.column("_node").unique().to_pylist())


def _gone(table: DeltaTable, name: str, nodes: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return how many rows have expired and were erased, of the nodes of which any were."""
    found = {node: (gone(table, "expired", node, name), gone(table, "erased", node, name)) for node in nodes}
    return {node: counts for node, counts in found.items() if any(counts)}


def _side(
    lake: Storage, names: Iterable[str], name: str
) -> tuple[dict[tuple[str, ...], int], DeltaTable | None]:
    """Return a side table and how many rows it stands for, by node and fact."""
    if name not in names:
        return {}, None
    table = lake.open(name)
    return _sum(table, ["_node", "fact"], "rows"), table


def _mark(table: DeltaTable | None, dead: DeltaTable | None, node: str, fact: str) -> int:
    """Return a lane's transaction version; of a fact that the app did not have, the dead letters know it."""
    application = transaction_id(node, fact)
    own = (table.transaction_version(application) if table is not None else None) or 0
    unknown = (dead.transaction_version(f"unknown:{application}") if dead is not None else None) or 0
    return max(own, unknown)


def _sum(table: DeltaTable, keys: list[str], column: str | None = None) -> dict[tuple[str, ...], int]:
    """Count rows by keys, or add up a column; nothing in it counts as one."""
    dataset: Any = table.to_pyarrow_dataset()
    rows: Any = dataset.to_table(columns=keys if column is None else [*keys, column])
    sums: dict[tuple[str, ...], int] = {}
    if column is None:
        for row in rows.group_by(keys).aggregate([([], "count_all")]).to_pylist():
            sums[tuple(row[key] for key in keys)] = row["count_all"]
        return sums
    for row in (
        rows.group_by(keys).aggregate([([], "count_all"), (column, "sum"), (column, "count")]).to_pylist()
    ):
        nothing = row["count_all"] - row[f"{column}_count"]
        sums[tuple(row[key] for key in keys)] = (row[f"{column}_sum"] or 0) + nothing
    return sums


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


def hub_status(data: Path) -> dict[str, int]:
    """Return the hub's counters."""
    path = data / "hub" / "hub.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return dict(db.execute("select name, value from counter").fetchall())


__all__ = ["EnvelopeLog", "Stored", "envelopes_for", "hub_status", "lanes_stored"]
