# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake and duckdb ship partial types)
"""Rows that a RESTORE brought back after their time was over: they are stored again, and no longer gone.

The counts of what expired are transactions, which Delta keeps when it takes a table back. Whoever finds the
restore lowers them, in one commit with the restore's version, so that a repeat lowers none twice.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.expiring import CAUSES, counted, gone
from rimward.cloud.ledger.counting import columns_of
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.ingest")

HANDLED = "returned"  # application id: the newest restore whose rows were counted
_COLUMNS = ["_node", "_lane", "_epoch", "_seq"]
_BACK = """
select _node, count(*) from (select * from here except select * from before) group by _node
"""


def returned(table: DurableTable, fact: str, since: int) -> dict[str, int]:
    """Return the counts of what is gone as they are after every restore above `since`, as transactions.

    Nothing where there was no such restore.
    """
    restores = table.restores(max(since, table.mark(HANDLED)))
    if not restores:
        return {}
    back = Counter[str]()
    for version in restores:
        try:
            back.update(_back(table, version))
        except (OSError, DeltaError) as error:
            log.error("how many rows a restore brought back can't be counted", table=fact,  # noqa: TRY400 (one line)
                      version=version, error=str(error))  # fmt: skip
    found = {HANDLED: max(restores)}
    for node, rows in back.items():
        left = rows
        for cause in CAUSES:
            total = gone(table.handle, cause, node, fact)
            if taken := min(left, total):
                found[counted(cause, node, fact)] = total - taken
                left -= taken
    return found


def _back(table: DurableTable, version: int) -> dict[str, int]:
    """Return how many rows of each node a restore brought, of those that were not there just before it."""
    here, before = table.at(version), table.at(version - 1)
    there, gone_ = set(here.file_uris()), set(before.file_uris())
    if not there - gone_:
        return {}
    import duckdb  # a quarter of ingest's start, and asked after a restore alone

    with duckdb.connect(":memory:") as db:
        db.register("here", _rows(here, there - gone_))
        db.register("before", _rows(before, gone_ - there))
        return dict(db.execute(_BACK).fetchall())


def _rows(table: DeltaTable, uris: Iterable[str]) -> Any:
    """Return whose rows some files of a table have."""
    ends = tuple(uris)
    dataset: Any = table.to_pyarrow_dataset()
    fragments = [one for one in dataset.get_fragments() if any(uri.endswith(one.path) for uri in ends)]
    if not fragments:
        types = {"_epoch": pa.int64(), "_seq": pa.int64()}
        return pa.table({name: pa.array([], types.get(name, pa.string())) for name in _COLUMNS})
    return pa.concat_tables(
        [columns_of(one, _COLUMNS).select(_COLUMNS) for one in fragments], promote_options="permissive"
    )
