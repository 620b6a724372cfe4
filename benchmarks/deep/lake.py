# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""What the lake costs as it grows: a commit with upkeep beside it, and a question of one hour among days."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from msgspec import Struct

from rimward.app.manifest import Column
from rimward.cloud.config import UpkeepConfig
from rimward.cloud.durable import DurableTable
from rimward.cloud.query import query
from rimward.cloud.storage import Folder
from rimward.cloud.tables import schema_of
from rimward.cloud.tending import Tending

SCHEMA = schema_of((Column("n", "int64"), Column("x", "float64")))
LOOK = 50  # commits between two looks of upkeep
NODES = 50
HOUR = """select _node, count(*) as n, avg(x) as x from warm
where _received_at >= timestamptz '2026-11-26 00:00:00+00' - interval '1 hour' group by _node"""


class Commits(Struct, frozen=True):
    """Commits of a thousand rows, seconds."""

    first: float  # median of the first hundred
    last: float  # median of the last hundred
    p99: float
    files: int  # that the table has in the end


def commits(folder: Path, count: int, *, upkeep: bool) -> Commits:
    """Commit small batches one after the other, on stable storage, with upkeep now and then or without."""
    storage = Folder(folder)
    table = DurableTable(storage, "warm", SCHEMA)
    tending = Tending(storage, "warm", UpkeepConfig(), time.time_ns)
    rows, took = _rows(datetime.now(UTC), 1_000), list[float]()
    for number in range(count):
        started = time.perf_counter()
        table.write(rows, {"n1:warm": number + 1})
        took.append(time.perf_counter() - started)
        if upkeep and number % LOOK == LOOK - 1:
            tending.look()
    files = len(storage.open("warm").file_uris())
    return Commits(median(took[:100]), median(took[-100:]), sorted(took)[len(took) * 99 // 100], files)


def ask_for_an_hour(folder: Path, rows: int, days: int = 30) -> float:
    """Return the seconds that a question of the last hour by node takes, the table's opening among them."""
    table = Folder(folder).create("warm", SCHEMA, ["_day", "_site"])
    for day in range(days):
        write_deltalake(
            table, _rows(datetime(2026, 11, 25, tzinfo=UTC) - timedelta(day), rows // days), mode="append"
        )
    started = time.perf_counter()
    assert 0 < query(folder, HOUR).num_rows <= NODES
    return time.perf_counter() - started


def _rows(start: datetime, count: int) -> Any:
    """Return rows spread over a day."""
    number = pa.array(range(count), pa.int64())
    step = 86_400_000_000 // count
    begin = int(start.timestamp() * 1e6)
    moments = pa.array(range(begin, begin + step * count, step), pa.timestamp("us", tz="UTC"))
    nodes = pa.array([f"node-{seq % NODES}" for seq in range(count)])
    known = {
        "n": number, "x": number.cast(pa.float64()), "_time": moments, "_received_at": moments,
        "_node": nodes,
        "_seq": number, "_event": number.cast(pa.string()), "_site": pa.array(["local"] * count),
        "_day": pa.array([start.date().isoformat()] * count),
    }  # fmt: skip
    return pa.table([known.get(field.name, pa.nulls(count, field.type)) for field in SCHEMA], schema=SCHEMA)


def main() -> int:
    """Print the figures."""
    for upkeep in (True, False):
        with TemporaryDirectory() as folder:
            one = commits(Path(folder), 1_000, upkeep=upkeep)
        print(f"1,000 commits, upkeep {'on' if upkeep else 'off'}: first {one.first * 1e3:.1f} ms, "
              f"last {one.last * 1e3:.1f} ms, p99 {one.p99 * 1e3:.1f} ms, {one.files} files")  # fmt: skip
    for rows in (10_000, 100_000, 1_000_000, 10_000_000):
        with TemporaryDirectory() as folder:
            print(
                f"last hour by node among {rows:,} rows: {ask_for_an_hour(Path(folder), rows) * 1e3:.0f} ms"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
