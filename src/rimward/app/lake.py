"""The lake as cloud functions see it; `rimward.cloud` implements it."""

from typing import Any, Protocol

from msgspec import Struct

from rimward.events import Duration


class Lake(Protocol):
    """Tables of all facts, one per fact."""

    def table(self, fact: type[Struct], *, since: Duration | None = None, version: int | None = None) -> Any:
        """Return a fact's rows as a `pyarrow.Table`, all of them or those received since a while ago."""
        ...

    def sql(self, query: str, **params: Any) -> Any:
        """Return the result of a query as a `pyarrow.Table`; `$name` stands for a parameter."""
        ...
