# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The lake as cloud functions see it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow.dataset as ds
from msgspec import Struct

from rimward.app.facts import Fact, snake_case
from rimward.cloud.query import query as ask
from rimward.cloud.storage import Storage, storage_of
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
        declared = self._facts.get(fact)
        name = snake_case(fact.__name__) if declared is None else declared.spec.table
        table = self._storage.open(name, version)
        dataset: Any = table.to_pyarrow_dataset()
        if since is None:
            return dataset.to_table()
        return dataset.to_table(filter=ds.field("_received_at") >= from_ns(self._now - nanoseconds(since)))

    def sql(self, query: str, **params: Any) -> Any:
        """Return the result of a query."""
        return ask(self._storage, query, params)
