# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The cloud's files read by others: what is stored, when an envelope came, how the hub is."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from msgspec import Struct

from rimward.cloud.query import tables_in
from rimward.cloud.stored import Stored
from rimward.wire import split_version, transaction_id


class EnvelopeLog(Struct, frozen=True):
    """The times of one envelope, ns."""

    sealed_at: int
    received_at: int
    committed_at: int
    version: int


def lanes_stored(data: Path) -> list[Stored]:
    """Count every fact's rows by node, with the mark of the same snapshot."""
    lake = data / "lake"
    names = tables_in(lake)
    dead = _count(DeltaTable(str(lake / "_dead")), ["_node", "fact"]) if "_dead" in names else {}
    found: list[Stored] = []
    for name in names:
        if name.startswith("_"):
            continue
        table = DeltaTable(str(lake / name))
        counts = _count(table, ["_node"])
        nodes = {node for (node,) in counts} | {node for node, fact in dead if fact == name}
        for node in sorted(nodes):
            counter, seq = split_version(table.transaction_version(transaction_id(node, name)) or 0)
            found.append(Stored(node, name, counts.get((node,), 0), dead.get((node, name), 0), counter, seq))
    return found


def _count(table: DeltaTable, keys: list[str]) -> dict[tuple[str, ...], int]:
    dataset: Any = table.to_pyarrow_dataset()
    rows: Any = dataset.to_table(columns=keys)
    grouped: Any = rows.group_by(keys).aggregate([([], "count_all")])
    return {tuple(row[key] for key in keys): row["count_all"] for row in grouped.to_pylist()}


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
