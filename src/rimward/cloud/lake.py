# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The lake as cloud functions see it."""

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from deltalake import DeltaTable
from msgspec import Struct

from rimward.app.facts import snake_case
from rimward.cloud.query import query as ask
from rimward.events import Duration, from_ns, nanoseconds


class LocalLake:
    """Tables in a folder."""

    def __init__(self, folder: Path, now: int) -> None:
        self._folder = folder
        self._now = now  # wall ns

    def table(self, fact: type[Struct], *, since: Duration | None = None, version: int | None = None) -> Any:
        """Return a fact's rows."""
        table = DeltaTable(str(self._folder / snake_case(fact.__name__)), version=version)
        dataset: Any = table.to_pyarrow_dataset()
        if since is None:
            return dataset.to_table()
        return dataset.to_table(filter=ds.field("_received_at") >= from_ns(self._now - nanoseconds(since)))

    def sql(self, query: str, **params: Any) -> Any:
        """Return the result of a query."""
        return ask(self._folder, query, params)
