# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Which starts of which nodes rows came from, in a table of the lake: they live as long as the marks do.

A copied disk gives the same counters again, with other nonces: its rows would look like replays.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from deltalake import DeltaTable

from rimward.cloud.durable import DurableTable
from rimward.cloud.tables import EPOCHS, to_arrow

ANY = -1  # rows of this counter are there and its nonce is not known any more: the first that comes is taken


class Epochs:
    """The nonce of each node's counter."""

    def __init__(self, table: DurableTable) -> None:
        self._table = table
        self._nonces: dict[tuple[str, int], int] = {}
        rows: Any = table.handle.to_pyarrow_dataset().to_table(columns=["_node", "_epoch", "nonce"])
        for row in rows.to_pylist():
            self._nonces[row["_node"], row["_epoch"]] = row["nonce"]

    def recover(self, tables: Iterable[DeltaTable]) -> None:
        """Take counters from rows, after this table was deleted."""
        for table in tables:
            rows: Any = table.to_pyarrow_dataset().to_table(columns=["_node", "_epoch"])
            for row in rows.group_by(["_node", "_epoch"]).aggregate([]).to_pylist():
                self._nonces.setdefault((row["_node"], row["_epoch"]), ANY)

    def nonce(self, node: str, counter: int) -> int | None:
        """Return a counter's nonce, `ANY`, or None where no row ever came from it."""
        return self._nonces.get((node, counter))

    def nodes(self) -> set[str]:
        """Return every node that rows came from."""
        return {node for node, _ in self._nonces}

    def add(self, fresh: dict[tuple[str, int], int], now: int) -> None:
        """Remember epochs, on stable storage; `now` is wall ns.

        Raises:
            CommitFailedError: another hub has just remembered one of the same node.
        """
        day = _day(now)
        rows = [(node, counter, nonce, now // 1000, day) for (node, counter), nonce in fresh.items()]
        marks = {f"epoch:{node}": counter for node, counter in sorted(fresh)}
        self._table.write(to_arrow(EPOCHS, rows), marks)
        self._nonces.update(fresh)


def _day(now: int) -> str:
    return datetime.fromtimestamp(now / 1e9, UTC).date().isoformat()
