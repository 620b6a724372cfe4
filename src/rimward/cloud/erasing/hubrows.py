"""What hub.db has of rows that are to be forgotten: forwards of cloud functions, and events of theirs."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from rimward.app.manifest import Manifest
from rimward.cloud.erasing.listing import Known
from rimward.cloud.functions.hubdb import open_journal
from rimward.observe.transactions import transaction
from rimward.wire.erasing import Erasure

_BLANK = "update hub_row set body = ?, event = '', trace = null where table_name = ? and seq = ?"
_NOTHING = msgspec.msgpack.encode(())
_decode = msgspec.msgpack.decode


class HubRows:
    """One hub's own file."""

    def __init__(self, data: Path, manifest: Manifest, forms: Known) -> None:
        """`forms` are all that the lake knows, by table and fingerprint."""
        self._path = data / "hub" / "hub.db"
        self._tables: dict[str, tuple[str, ...]] = {one.name: one.facts for one in manifest.functions}
        self._forms = forms

    def erase(self, erasures: Iterable[Erasure], *, dry_run: bool = False) -> Counter[str]:
        """Blank forwards and delete events that wait or are dead; return how many of each.

        A forward keeps its number: without values it comes to the lake as erased.
        """
        found = Counter[str]()
        if not self._path.exists():
            return found
        asked = list(erasures)
        with closing(open_journal(self._path)) as db:
            db.execute("pragma secure_delete=on")
            with transaction(db):
                found.update(self._erase(db, asked, dry_run=dry_run))
            if not dry_run:
                db.execute("pragma wal_checkpoint(truncate)")
        return found

    def _erase(self, db: sqlite3.Connection, asked: list[Erasure], *, dry_run: bool) -> dict[str, int]:
        forwards = self._forwards(db, asked)
        events = {table: self._events(db, table, asked) for table in ("parked", "dead_function")}
        if not dry_run:
            db.executemany(_BLANK, [(_NOTHING, *place) for place in forwards])
            for table, ids in events.items():
                db.executemany(f"delete from {table} where id = ?", [(id_,) for id_ in ids])  # noqa: S608 (ours)
        return {"forwards": len(forwards), "events": sum(map(len, events.values()))}

    def _forwards(self, db: sqlite3.Connection, asked: list[Erasure]) -> list[tuple[str, int]]:
        rows = db.execute("select table_name, seq, schema, at, body from hub_row").fetchall()
        return [
            (table, seq)
            for table, seq, schema, at, body in rows
            if (values := _decode(body)) and self._falls(table, schema, at, values, asked)
        ]

    def _falls(self, table: str, schema: str, at: int, values: list[Any], asked: list[Erasure]) -> bool:
        columns = self._forms.get(table, {}).get(schema, ())
        row = {column.name: value for column, value in zip(columns, values, strict=False)}
        return any(one.concerns(table) and at <= one.at and one.takes(row.get(one.field)) for one in asked)

    def _events(self, db: sqlite3.Connection, table: str, asked: list[Erasure]) -> list[int]:
        rows = db.execute(f"select id, function, at, row from {table} where row is not null")  # noqa: S608 (ours)
        return [
            id_
            for id_, function, at, row in rows.fetchall()
            if self._is_of(_decode(row), self._tables.get(function, ()), at, asked)
        ]

    @staticmethod
    def _is_of(row: Mapping[str, Any], tables: tuple[str, ...], at: int, asked: list[Erasure]) -> bool:
        return any(
            (one.table is None or not tables or one.table in tables)
            and at <= one.at
            and one.takes(row.get(one.field))
            for one in asked
        )
