# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (deltalake ships partial types)
"""What did not become a row: dead letters and losses, counted by node, lane and place."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from deltalake import DeltaTable

from rimward.cloud.lake.storage import Storage
from rimward.cloud.ledger.stored import Selection
from rimward.wire import table_of


class _Aside(NamedTuple):
    """Rows of a lane that are not in its table, and why."""

    node: str
    lane: str
    epoch: int
    first: int
    last: int
    rows: int
    why: str


class Sides:
    """Both side tables of one lake, as they are at one moment."""

    def __init__(self, lake: Storage, names: Iterable[str]) -> None:
        there = set(names)
        self.dead_table: DeltaTable | None = lake.open("_dead") if "_dead" in there else None
        self._dead = [] if self.dead_table is None else _dead(self.dead_table)
        self._lost = _lost(lake.open("_gap")) if "_gap" in there else []

    def facts(self) -> set[str]:
        """Return the facts that have dead letters; some have no table."""
        return {table_of(one.lane) for one in self._dead}

    def nodes(self, fact: str) -> set[str]:
        """Return the nodes of which a fact has any."""
        return {one.node for one in (*self._dead, *self._lost) if table_of(one.lane) == fact}

    def dead(self, fact: str, wanted: Selection) -> int:
        """Return how many of a fact's rows are dead letters."""
        return sum(rows for _, rows in _taken(self._dead, fact, wanted))

    def lost(self, fact: str, wanted: Selection) -> dict[str, int]:
        """Return how many of a fact's rows will never come, by cause."""
        causes: Counter[str] = Counter()
        for why, rows in _taken(self._lost, fact, wanted):
            causes[why] += rows
        return dict(causes)


def _taken(found: list[_Aside], fact: str, wanted: Selection) -> Iterable[tuple[str, int]]:
    for one in found:
        if one.node == wanted.node and table_of(one.lane) == fact:
            taken = wanted.takes(one.lane, one.epoch, one.first, one.last)
            if taken is not False:  # a mark cuts no record: both are committed together
                yield one.why, one.rows


def _dead(table: DeltaTable) -> list[_Aside]:
    rows = _rows(table, ["_node", "fact", "_lane", "_epoch", "_seq", "rows"])
    return [
        _Aside(one["_node"], one["_lane"] or one["fact"], one["_epoch"], one["_seq"], one["_seq"],
               1 if one["rows"] is None else one["rows"], "")
        for one in rows
    ]  # fmt: skip


def _lost(table: DeltaTable) -> list[_Aside]:
    rows = _rows(table, ["_node", "fact", "_lane", "_epoch", "first", "last", "rows", "reason"])
    return [
        _Aside(one["_node"], one["_lane"] or one["fact"], one["_epoch"], one["first"], one["last"],
               one["last"] - one["first"] + 1 if one["rows"] is None else one["rows"],
               one["reason"] or "unknown")
        for one in rows
    ]  # fmt: skip


def _rows(table: DeltaTable, names: list[str]) -> list[dict[str, Any]]:
    dataset: Any = table.to_pyarrow_dataset()
    there = [name for name in names if name in dataset.schema.names]
    nothing = dict.fromkeys(names)
    return [{**nothing, **row} for row in dataset.to_table(columns=there).to_pylist()]
