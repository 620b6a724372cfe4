# pyright: reportUnknownVariableType=false
# (deltalake ships partial types)
"""Every form that facts have had, in a table of the lake: rows of each may still sit in an outbox.

A column that is new is null in rows of older forms. A column that changed its type would need a cast that
can't be exact: the app is refused, and names a new fact instead (docs/adr/0073).
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from deltalake.exceptions import TableNotFoundError

from rimward.app.manifest import Column, FactSpec
from rimward.cloud.ingest.forms import Form
from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.small import rows_of
from rimward.cloud.lake.storage import Storage
from rimward.cloud.lake.tables import SCHEMAS, day_of, to_arrow
from rimward.events import RimwardError

Known = dict[str, dict[str, tuple[Column, ...]]]  # by table and fingerprint


class SchemaChanged(RimwardError):
    """A fact's column has another type than before."""

    code = "schema-changed"


class Schemas:
    """The forms of every fact, by fingerprint."""

    def __init__(self, table: DurableTable, facts: Mapping[str, FactSpec]) -> None:
        """Read what is known; `facts` are the app's, by table.

        Raises:
            SchemaChanged: a column of one has another type than in a form that is known. Nothing was written.
        """
        self._table = table
        self._facts = facts
        self.known: Known = known_in(table.handle)
        judge(self.known, facts.values())
        self._forms = {
            (fact, fingerprint): Form(columns)
            for fact, forms in self.known.items()
            for fingerprint, columns in forms.items()
            if fact in facts
        }

    def add(self, now: int) -> list[FactSpec]:
        """Remember the app's forms, on stable storage, and return those that are new; `now` is wall ns.

        Raises:
            CommitFailedError: another process has just done so.
        """
        fresh = [
            spec for spec in self._facts.values() if spec.fingerprint not in self.known.get(spec.table, {})
        ]
        if fresh:
            rows = [
                (spec.table, spec.fingerprint, msgspec.json.encode(spec.columns).decode(), now // 1000,
                 day_of(now))
                for spec in fresh
            ]  # fmt: skip
            mark = self._table.mark("schemas") + 1
            self._table.write(to_arrow(SCHEMAS, rows), {"schemas": mark})
        for spec in fresh:
            self.known.setdefault(spec.table, {})[spec.fingerprint] = spec.columns
            self._forms[spec.table, spec.fingerprint] = Form(spec.columns)
        return fresh

    def columns(self, fact: str) -> tuple[Column, ...]:
        """Return the columns of a fact's table: the app's, then those that older forms had."""
        found = {column.name: column for column in self._facts[fact].columns}
        for columns in self.known.get(fact, {}).values():
            for column in columns:
                found.setdefault(column.name, column)
        return tuple(found.values())

    def form(self, fact: str, fingerprint: str) -> Form | None:
        """Return the form of rows; None where the hub does not know it, or the app has no such fact."""
        return self._forms.get((fact, fingerprint))

    def reason(self, fact: str, fingerprint: str) -> str:
        """Say why rows have no form here."""
        spec = self._facts.get(fact)
        if spec is None:
            return f"the app has no fact {fact}"
        return f"schema {fingerprint} is not {spec.fingerprint}"


def known_in(handle: Any) -> Known:
    """Return every form that a lake knows, by table and fingerprint."""
    known: Known = {}
    for row in rows_of(handle, ["fact", "schema", "columns"]):
        columns = msgspec.json.decode(row["columns"], type=tuple[Column, ...])
        known.setdefault(row["fact"], {})[row["schema"]] = columns
    return known


def judge_against(lake: Storage, facts: Iterable[FactSpec]) -> None:
    """Compare an app's facts with every form that a lake knows; one that is not there yet knows none.

    Raises:
        SchemaChanged: a column has another type.
    """
    with contextlib.suppress(TableNotFoundError):
        judge(known_in(lake.open("_schemas")), facts)


def judge(known: Known, facts: Iterable[FactSpec]) -> None:
    """Compare an app's facts with every form that may still sit in an outbox.

    Raises:
        SchemaChanged: a column has another type.
    """
    for spec in facts:
        for columns in known.get(spec.table, {}).values():
            before = {column.name: column.type for column in columns}
            for column in spec.columns:
                if before.get(column.name, column.type) != column.type:
                    raise SchemaChanged(
                        f"fact {spec.name}: column {column.name} was {before[column.name]} and is "
                        f"{column.type} now, and rows of both may wait in outboxes: name a new fact "
                        f'for it, or a new column (a fact that is only renamed says was="{spec.name}")'
                    )
