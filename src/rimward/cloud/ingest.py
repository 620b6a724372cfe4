# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""Ingest: envelopes become one Delta commit a table, on stable storage before any mark says so.

The commit's application transaction carries the last row of each node and fact. delta-rs takes lower numbers
too, so they are compared here first, on the same handle that commits: a stale handle fails, and that is the
fence (GUARANTEES §2). delta-rs never calls fsync on a local folder: it is done here.
"""

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from msgspec import Struct

from rimward.app.manifest import FactSpec
from rimward.cloud.tables import DEAD, Batch, schema_of, to_arrow
from rimward.wire import Header, Lane, Mark, Row, split_version, transaction_id, transaction_version


class Envelope(Struct):
    """One decoded upload."""

    lane: Lane
    header: Header
    rows: list[Row]
    received_at: int = 0  # wall ns


class Outcome(Struct):
    """What became of a batch."""

    marks: list[tuple[str, Mark]]  # (node, mark)
    stored: int = 0
    dead: int = 0
    duplicates: int = 0
    gaps: int = 0
    version: int = 0


class Ingest:
    """One lake folder's writer."""

    def __init__(self, lake: Path, facts: Iterable[FactSpec], now: Callable[[], int]) -> None:
        self._lake = lake
        self._facts = {fact.table: fact for fact in facts}
        self._now = now
        self._handles: dict[str, DeltaTable] = {}
        self._nonces: dict[tuple[str, int], int] = {}
        for table, spec in self._facts.items():
            self._open(table, schema_of(spec.columns))
        self._open("_dead", DEAD)

    def _open(self, table: str, schema: Any) -> DeltaTable:
        path = self._lake / table
        try:
            handle = DeltaTable(str(path))
        except TableNotFoundError:
            path.mkdir(parents=True, exist_ok=True)
            handle = DeltaTable.create(str(path), schema=schema, partition_by=["_day"], name=table)
            sync_commit(path, 0)
        self._handles[table] = handle
        known = {field.name for field in handle.schema().fields}
        if new := [field for field in schema if field.name not in known]:
            self._widen(table, handle, schema, new)
        return self._handles[table]

    def _widen(self, table: str, handle: DeltaTable, schema: Any, new: list[Any]) -> None:
        """Add nullable columns: an empty append with the wider schema."""
        del new
        write_deltalake(handle, to_arrow(schema, []), mode="append", schema_mode="merge")
        self._handles[table] = DeltaTable(str(self._lake / table))
        sync_commit(self._lake / table, self._handles[table].version())

    def mark(self, node: str, fact: str) -> tuple[int, int]:
        """Return (counter, seq) of the last row of a node and fact that is in the table."""
        version = self._handles[fact].transaction_version(transaction_id(node, fact))
        return split_version(version) if version is not None else (0, 0)

    def knows(self, fact: str) -> bool:
        """Tell whether there is such a table."""
        return fact in self._facts

    def take(self, fact: str, envelopes: list[Envelope]) -> Outcome:
        """Commit what is new of one fact's envelopes; everything else is a duplicate or a gap.

        A failed fence (another writer was here) reopens the table and looks again, once.
        """
        for last_try in (False, True):
            try:
                return self._take(fact, envelopes)
            except CommitFailedError:
                if last_try:
                    raise
                self._handles[fact] = DeltaTable(str(self._lake / fact))
        raise AssertionError

    def _take(self, fact: str, envelopes: list[Envelope]) -> Outcome:
        batch = Batch(self._facts[fact], datetime.fromtimestamp(self._now() / 1e9, UTC))
        outcome, reached, nonces = Outcome([]), {}, {}
        for envelope in envelopes:
            lane, header = envelope.lane, envelope.header
            mark = reached.get(lane.node) or self.mark(lane.node, fact)
            begun = (lane.epoch.counter, header.first)
            if (lane.epoch.counter, header.last) <= mark:
                outcome.duplicates += 1
                nonces.setdefault(lane.node, lane.epoch.nonce)
                continue
            follows = begun <= (mark[0], mark[1] + 1) if begun[0] == mark[0] else header.first == 1
            if not follows or lane.epoch.counter < mark[0]:
                outcome.gaps += 1
                continue
            for row in envelope.rows:
                if (lane.epoch.counter, row.seq) > mark:
                    batch.add(lane, header, row)
            reached[lane.node] = (lane.epoch.counter, header.last)
            nonces[lane.node] = lane.epoch.nonce
        if reached:
            self._bury(fact, batch, reached)
            self._commit(fact, batch, reached)
        outcome.stored, outcome.dead = len(batch.rows), len(batch.dead)
        outcome.version = self._handles[fact].version()
        outcome.marks = [(node, self._mark(node, fact, nonce)) for node, nonce in nonces.items()]
        return outcome

    def _mark(self, node: str, fact: str, nonce: int) -> Mark:
        handle = self._handles[fact]
        counter, seq = self.mark(node, fact)
        return Mark(fact, str(handle.metadata().id), 0, handle.version(), counter, nonce, seq)

    def _bury(self, fact: str, batch: Batch, reached: dict[str, tuple[int, int]]) -> None:
        """Commit dead rows first, under their own transaction id, so that a repeat writes none twice."""
        handle = self._handles["_dead"]
        fresh = {
            node: last
            for node, last in reached.items()
            if (handle.transaction_version(f"dead:{transaction_id(node, fact)}") or 0)
            < transaction_version(*last)
        }
        nodes = DEAD.get_field_index("_node")
        rows = [row for row in batch.dead if row[nodes] in fresh]
        if rows:
            marks = [
                Transaction(f"dead:{transaction_id(n, fact)}", transaction_version(*m))
                for n, m in fresh.items()
            ]
            self._write("_dead", to_arrow(DEAD, rows), marks)

    def _commit(self, fact: str, batch: Batch, reached: dict[str, tuple[int, int]]) -> None:
        marks = [
            Transaction(transaction_id(node, fact), transaction_version(*last))
            for node, last in reached.items()
        ]
        self._write(fact, to_arrow(schema_of(self._facts[fact].columns), batch.rows), marks)

    def _write(self, table: str, rows: Any, marks: list[Transaction]) -> None:
        handle = self._handles[table]
        write_deltalake(
            handle, rows, mode="append", commit_properties=CommitProperties(app_transactions=marks)
        )
        handle.update_incremental()
        sync_commit(self._lake / table, handle.version())


def sync_commit(table: Path, version: int) -> None:
    """Put a commit on stable storage: its data files, the log entry, then their folders."""
    entry = table / "_delta_log" / f"{version:020}.json"
    folders = {table, entry.parent, table.parent}
    for line in entry.read_text().splitlines():
        added = json.loads(line).get("add")
        if added is not None:
            file = table / added["path"].replace("%3D", "=")
            _sync(file)
            folders.add(file.parent)
    _sync(entry)
    for folder in folders:
        _sync(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
