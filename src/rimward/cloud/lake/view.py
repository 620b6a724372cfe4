# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (pyarrow ships partial types)
"""The lake as cloud functions see it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from rimward.app.facts import Fact, snake_case
from rimward.cloud.lake.storage import Storage, storage_of
from rimward.events import Duration, from_ns, nanoseconds

_NO_FACTS: Mapping[type[Struct], Fact] = MappingProxyType({})


class LocalLake:
    """Tables in a folder, or in an object store."""

    def __init__(
        self, place: Storage | Path, now: int, facts: Mapping[type[Struct], Fact] = _NO_FACTS
    ) -> None:
        """`now` is the wall clock, ns; `facts` are the app's, which know their tables' names."""
        self._storage = storage_of(place)
        self._now = now
        self._facts = facts

    def table(self, fact: type[Struct], *, since: Duration | None = None, version: int | None = None) -> Any:
        """Return a fact's rows."""
        table = self._storage.open(self._table_of(fact), version)
        dataset: Any = table.to_pyarrow_dataset()
        if since is None:
            return dataset.to_table()
        import pyarrow.dataset as ds

        return dataset.to_table(filter=ds.field("_received_at") >= from_ns(self._now - nanoseconds(since)))

    def _table_of(self, fact: type[Struct]) -> str:
        """Return the table of a type, or of the app's fact of its name: a class may be loaded twice."""
        declared = self._facts.get(fact)
        if declared is not None:
            return declared.spec.table
        tables = {known.spec.name: known.spec.table for known in self._facts.values()}
        return tables.get(fact.__name__, snake_case(fact.__name__))

    def sql(self, query: str, **params: Any) -> Any:
        """Return the result of a query."""
        from rimward.cloud.lake.query import query as ask  # DuckDB: a third of a worker's start

        return ask(self._storage, query, params)
