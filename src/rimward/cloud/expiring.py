# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Rows whose time is over, and how many they were: the count is in the delete's commit.

It is an application transaction, whose version is the total so far, by node and fact. It survives
checkpoints; two that count at once conflict (GUARANTEES §3, docs/adr/0078).
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow.dataset as ds
from deltalake import DeltaTable

from rimward.wire import transaction_id

HOUR = 3600  # seconds
DAY = 24 * HOUR


class Expiry(NamedTuple):
    """What is to be deleted, and every count as it is afterwards."""

    predicate: str
    rows: int
    totals: dict[str, int]  # by node, all that ever went


def counted(cause: str, node: str, fact: str) -> str:
    """Return the application id under which rows of a node that were taken away are counted."""
    return f"{cause}:{transaction_id(node, fact)}"


def gone(table: DeltaTable, cause: str, node: str, fact: str) -> int:
    """Return how many rows of a node were taken away for a cause, "expired" or "erased"."""
    return table.transaction_version(counted(cause, node, fact)) or 0


def expiry_of(table: DeltaTable, name: str, retention: float, now: int) -> Expiry | None:
    """Return what a retention in seconds takes away at `now`, wall ns; None where there is nothing.

    Rows go by the hour; where they stay two days and more, by the day, whose files go as a whole.
    """
    step = HOUR if retention < 2 * DAY else DAY
    cutoff = (now // 1_000_000_000 - int(retention)) // step * step
    moment = datetime.fromtimestamp(cutoff, UTC)
    if step == DAY:
        day = moment.date().isoformat()
        return removal(table, name, "expired", ds.field("_day") < day, f"_day < '{day}'")
    text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    predicate = (
        f"_day <= '{moment.date().isoformat()}' and "
        f"_received_at < arrow_cast('{text}', 'Timestamp(Microsecond, Some(\"UTC\"))')"
    )
    older = (ds.field("_day") <= moment.date().isoformat()) & (ds.field("_received_at") < moment)
    return removal(table, name, "expired", older, predicate)


def removal(table: DeltaTable, name: str, cause: str, rows: Any, predicate: str) -> Expiry | None:
    """Count rows by node on the handle that is to delete them, once as an expression and once as SQL."""
    dataset: Any = table.to_pyarrow_dataset()
    nodes: Any = dataset.to_table(columns=["_node"], filter=rows)
    if not nodes.num_rows:
        return None
    found = nodes.group_by(["_node"]).aggregate([([], "count_all")]).to_pylist()
    totals = {one["_node"]: gone(table, cause, one["_node"], name) + one["count_all"] for one in found}
    return Expiry(predicate, nodes.num_rows, totals)
