"""The lake as cloud functions see it; `rimward.cloud` implements it."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from rimward.events import Duration


class Table(Protocol):
    """What is used most of a `pyarrow.Table`, which ships no types; the value is one, with all it has."""

    @property
    def num_rows(self) -> int:
        """How many rows it has."""
        ...

    @property
    def schema(self) -> Any:
        """Its `pyarrow.Schema`."""
        ...

    @property
    def column_names(self) -> list[str]:
        """Its columns, in order."""
        ...

    def column(self, i: int | str, /) -> Any:
        """Return a column as a `pyarrow.ChunkedArray`."""
        ...

    def select(self, columns: Sequence[str], /) -> "Table":
        """Return a table of some columns."""
        ...

    def sort_by(self, sorting: str | list[tuple[str, str]]) -> "Table":
        """Return the rows in order: by a column, or by (column, "ascending" or "descending")."""
        ...

    def filter(self, mask: Any, /) -> "Table":
        """Return the rows that a mask or a `pyarrow.compute` expression keeps."""
        ...

    def group_by(self, keys: str | list[str], /) -> Any:
        """Return the rows in groups, as a `pyarrow.TableGroupBy`."""
        ...

    def slice(self, offset: int = 0, length: int | None = None) -> "Table":
        """Return a part of the rows."""
        ...

    def to_pylist(self) -> list[dict[str, Any]]:
        """Return the rows as dicts."""
        ...

    def to_pydict(self) -> dict[str, list[Any]]:
        """Return the columns as lists."""
        ...

    def to_pandas(self) -> Any:
        """Return it as a `pandas.DataFrame`, where pandas is installed."""
        ...


class Lake(Protocol):
    """Tables of all facts, one per fact."""

    def table(
        self, fact: type[Struct], *, since: Duration | None = None, version: int | None = None
    ) -> Table:
        """Return a fact's rows as a `pyarrow.Table`, all of them or those received since a while ago."""
        ...

    def sql(self, query: str, **params: Any) -> Table:
        """Return the result of a query as a `pyarrow.Table`; `$name` stands for a parameter."""
        ...
