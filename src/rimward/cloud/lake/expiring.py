# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Rows whose time is over, and how many they were: the count is in the delete's commit.

It is an application transaction, whose version is the total so far, by node and fact. It survives
checkpoints; two that count at once conflict (GUARANTEES §3, docs/adr/0078).
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

from deltalake import DeltaTable

from rimward.wire import Place, split_version, transaction_id, transaction_version

HOUR = 3600  # seconds
DAY = 24 * HOUR
CAUSES = ("expired", "erased")
_PLACES = ("_node", "_lane", "_epoch", "_seq")


class Expiry(NamedTuple):
    """What is to be deleted, and every count as it is afterwards."""

    predicate: str
    rows: int
    totals: dict[str, int]  # by node, all that ever went
    ends: dict[tuple[str, str], int]  # by node and lane, as transaction versions: up to there all is gone


def counted(cause: str, node: str, fact: str) -> str:
    """Return the application id under which rows of a node that were taken away are counted."""
    return f"{cause}:{transaction_id(node, fact)}"


def gone(table: DeltaTable, cause: str, node: str, fact: str) -> int:
    """Return how many rows of a node were taken away for a cause, "expired" or "erased"."""
    return table.transaction_version(counted(cause, node, fact)) or 0


def ended(node: str, lane: str) -> str:
    """Return the application id under which it is written down how far a lane's rows were taken away."""
    return f"ended:{transaction_id(node, lane)}"


def end_of(table: DeltaTable, node: str, lane: str) -> Place:
    """Return the newest row of a lane that was taken away; all rows before it are accounted for."""
    return split_version(table.transaction_version(ended(node, lane)) or 0)


def expiry_of(table: DeltaTable, name: str, retention: float, now: int) -> Expiry | None:
    """Return what a retention in seconds takes away at `now`, wall ns; None where there is nothing.

    Rows go by the hour; where they stay two days and more, by the day, whose files go as a whole.
    """
    step = HOUR if retention < 2 * DAY else DAY
    cutoff = (now // 1_000_000_000 - int(retention)) // step * step
    moment = datetime.fromtimestamp(cutoff, UTC)
    import pyarrow.dataset as ds  # with the first rows that expire: a hub's start goes without it

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
    columns = [one for one in _PLACES if one in dataset.schema.names]  # a table of before has no lanes yet
    lane = "coalesce(_lane, $name)" if "_lane" in columns else "$name"
    question = (
        f"select _node, {lane} as lane, count(*), max(_epoch), max_by(_seq, (_epoch, _seq)) "  # noqa: S608 (its parts are ours)
        "from going group by _node, lane"
    )
    import duckdb  # who only reads counts does without

    with duckdb.connect(":memory:") as db:
        db.register("going", dataset.scanner(columns=columns, filter=rows).to_reader())
        found = db.execute(question, {"name": name}).fetchall()
    if not found:
        return None
    totals = Counter[str]()
    ends: dict[tuple[str, str], int] = {}
    for node, lane, count, *place in found:
        totals[node] += count
        if end := _end(table, node, lane, transaction_version(*place)):
            ends[node, lane] = end
    totals.update({node: gone(table, cause, node, name) for node in list(totals)})
    return Expiry(predicate, sum(count for _, _, count, *_ in found), dict(totals), ends)


def _end(table: DeltaTable, node: str, lane: str, last: int) -> int:
    """Return how far a lane has gone, beyond which the mark must not be believed; 0 where nothing is new.

    Rows beyond the mark went too where a restore lowered it: what lies before them may be missing yet.
    """
    mark = table.transaction_version(transaction_id(node, lane)) or 0
    end = min(last, mark)
    return end if end > (table.transaction_version(ended(node, lane)) or 0) else 0
