# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""Which starts of which nodes rows came from, in a table of the lake: they live as long as the marks do.

A copied disk gives the same counters again, with other nonces: its rows would look like replays. And where a
lane was before a start says, after a restore, whether the epoch before is whole; and of a disk that went on
beside its copy, how far its rows came before the lane went past them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from deltalake import DeltaTable
from msgspec import Struct

from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.small import is_empty, rows_of
from rimward.cloud.lake.tables import EPOCHS, day_of, to_arrow
from rimward.wire import Place, split_version

ANY = -1  # rows of this counter are there and its nonce is not known any more: the first that comes is taken


class Starts(Struct):
    """What a batch brings that is to be remembered before its rows."""

    nonces: dict[tuple[str, int], int] = {}  # by (node, counter)
    priors: dict[tuple[str, str, int], int] = {}  # by (node, lane, counter): the mark before, a version


class Epochs:
    """The nonce of each node's counter, and where lanes were before it."""

    def __init__(self, table: DurableTable) -> None:
        self._table = table
        self._nonces: dict[str, dict[int, int]] = {}  # by node and counter
        self._priors: dict[tuple[str, str], dict[int, int]] = {}
        names = ["_node", "_epoch", "nonce", "_lane", "prior"]
        for row in rows_of(table.handle, names):
            self._nonces.setdefault(row["_node"], {})[row["_epoch"]] = row["nonce"]
            if row["_lane"] is not None:
                self._priors.setdefault((row["_node"], row["_lane"]), {})[row["_epoch"]] = row["prior"]

    def recover(self, tables: Iterable[DeltaTable]) -> None:
        """Take counters from rows, after this table was deleted or restored."""
        for table in tables:
            if is_empty(table):
                continue
            rows: Any = table.to_pyarrow_dataset().to_table(columns=["_node", "_epoch"])
            for row in rows.group_by(["_node", "_epoch"]).aggregate([]).to_pylist():
                self._nonces.setdefault(row["_node"], {}).setdefault(row["_epoch"], ANY)

    def nonce(self, node: str, counter: int) -> int | None:
        """Return a counter's nonce, `ANY`, or None where no row ever came from it."""
        return self._nonces.get(node, {}).get(counter)

    def starts(self, node: str) -> Mapping[int, int]:
        """Return the nonces of a node's starts by counter; `ANY` among them."""
        return self._nonces.get(node, {})

    def highest(self, node: str) -> int:
        """Return the highest counter that rows of a node came from; 0 where there is none."""
        return max(self._nonces.get(node, ()), default=0)

    def priors(self, node: str, lane: str) -> dict[int, Place]:
        """Return where a lane was before its epochs, by their counters, as far as that is known."""
        priors = self._priors.get((node, lane), {})
        return {counter: split_version(prior) for counter, prior in priors.items() if prior}

    def has_prior(self, node: str, lane: str, counter: int) -> bool:
        """Tell whether it is known where a lane was before an epoch."""
        return counter in self._priors.get((node, lane), {})

    def left(self, node: str, lane: str, counter: int, fresh: Mapping[int, int] | None = None) -> int | None:
        """Return the last row of a start that a lane had when it went past it; None where that is not known.

        `fresh` are versions that are about to be remembered, by counter.
        """
        priors = {**self._priors.get((node, lane), {}), **(fresh or {})}
        after = min((one for one in priors if one > counter), default=None)
        if after is None:
            return None
        before, seq = split_version(priors[after])
        if before > counter:
            return None
        return seq if before == counter else 0

    def nodes(self) -> set[str]:
        """Return every node that rows came from."""
        return set(self._nonces)

    def add(self, fresh: Starts, now: int) -> None:
        """Remember starts, on stable storage; `now` is wall ns.

        Raises:
            CommitFailedError: another hub has just remembered one of the same node.
        """
        stamp = (now // 1000, day_of(now))
        rows: list[tuple[Any, ...]] = [
            (node, counter, nonce, *stamp, None, None) for (node, counter), nonce in fresh.nonces.items()
        ]
        rows += [
            (node, counter, fresh.nonces.get((node, counter), self.nonce(node, counter)), *stamp, lane, prior)
            for (node, lane, counter), prior in fresh.priors.items()
        ]
        marks = {f"epoch:{row[0]}": row[1] for row in sorted(rows, key=lambda row: row[:2])}
        self._table.write(to_arrow(EPOCHS, rows), marks)
        for (node, counter), nonce in fresh.nonces.items():
            self._nonces.setdefault(node, {})[counter] = nonce
        for (node, lane, counter), prior in fresh.priors.items():
            self._priors.setdefault((node, lane), {})[counter] = prior
