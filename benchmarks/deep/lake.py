# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
# (pyarrow and deltalake ship partial types)
"""What a table's growth costs: a row's way into it, with upkeep, and a question of one day of a year.

Tables of 10⁴ to 10⁷ rows over a year are made at once; then ingest commits to all of them in turn, as live
rows come, and upkeep looks after each round. The question is asked once more where the files of all other
days have been taken away.
"""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake
from msgspec import Struct

from benchmarks.deep.ingest import COLUMNS, ROWS, SPEC, measure
from benchmarks.report import Bar, Figure
from rimward.cloud.config import UpkeepConfig
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.lake.query import query
from rimward.cloud.lake.storage import Folder
from rimward.cloud.lake.tables import partitions_of, schema_of
from rimward.cloud.lake.tending import Tending

SIZES = (10**4, 10**5, 10**6, 10**7)
DAYS = 365
START = date(2025, 11, 1)
CHUNK = 60  # days that are written at once
COMMITS = 20  # of one round
SCHEMA = schema_of(COLUMNS)
TABLE = SPEC.table
DAY = f"select count(*) as n, avg(celsius) as c from {TABLE} where _day = $day"


class Size(Struct):
    """A table and what was measured of it."""

    folder: Path
    ingest: Ingest
    tending: Tending
    last: int = 0  # row that was taken
    rows: list[float] = []  # us a row, the median commit of each round
    upkeep: list[float] = []  # us a row that upkeep took, a round


def figures(rounds: int, sizes: Sequence[int] = SIZES, days: int = DAYS) -> list[Figure]:
    """Measure all sizes in turn, tables of so many days."""
    with TemporaryDirectory(prefix="bench-") as scratch:
        tables = [_made(Path(scratch) / str(size), size, days) for size in sizes]
        for number in range(rounds + 1):
            for table in tables:
                _round(table, counts=number > 0)  # the first warms up, upkeep too
        ratios = [large / small for small, large in zip(tables[0].rows, tables[-1].rows, strict=True)]
        each = ", ".join(
            f"{size:,}: {median(table.rows):.0f} + {median(table.upkeep):.1f}"
            for size, table in zip(sizes, tables, strict=True)
        )
        name = f"a row's cost at {sizes[-1]:,} rows to {sizes[0]:,}"
        grown = Figure(
            name, median(ratios), "times", Bar("<=", 1.25), (min(ratios), max(ratios)),
            note=f"µs a row in commits of {ROWS}, and for upkeep: {each}",
        )  # fmt: skip
        return [grown, *_one_day(tables[-1].folder, sizes[-1], days, rounds)]


def _made(folder: Path, size: int, days: int) -> Size:
    """Make a table."""
    storage = Folder(folder)
    storage.create(TABLE, SCHEMA, partitions_of(TABLE))
    table = storage.open(TABLE)
    for first in range(0, days, CHUNK):
        some = range(first, min(days, first + CHUNK))
        write_deltalake(table, _rows(some, size // days), mode="append")
    return Size(
        folder, Ingest(storage, (SPEC,), time.time_ns), Tending(storage, TABLE, UpkeepConfig(), time.time_ns)
    )


def _round(table: Size, *, counts: bool) -> None:
    found = measure(table.ingest, table.last + 1, COMMITS, at_once=1)
    table.last = found.rows
    begin = time.perf_counter()
    table.tending.look()
    upkeep = time.perf_counter() - begin
    if counts:
        table.rows = [*table.rows, median(found.commits) / ROWS * 1e6]
        table.upkeep = [*table.upkeep, upkeep / COMMITS / ROWS * 1e6]


def _one_day(folder: Path, size: int, days: int, rounds: int) -> list[Figure]:
    """Ask for a day of a year; then take the files of all other days away, and ask again."""
    day = (START + timedelta(days // 2)).isoformat()
    took, found = list[float](), list[Any]()
    for _ in range(rounds):
        begin = time.perf_counter()
        found = query(folder, DAY, {"day": day}).to_pylist()
        took.append((time.perf_counter() - begin) * 1e3)
    assert found[0]["n"] == size // days
    for other in (folder / TABLE).glob("_day=*"):
        if other.name != f"_day={day}":
            other.rename(folder / other.name)
    alone = query(folder, DAY, {"day": day}).to_pylist() == found
    return [
        Figure(f"a day of {days} among {size:,} rows", median(took), "ms", None, (min(took), max(took))),
        Figure("it needs files of other days", 0 if alone else 1, "", Bar("<=", 0)),
    ]


def _rows(days: range, each: int) -> Any:
    """Return rows of some days, spread over each of them."""
    number = pa.array(range(each), pa.int64())
    trucks = pa.array([f"truck-{one % 50}" for one in range(each)])
    events = number.cast(pa.string())
    passed = pc.multiply(number, 86_400_000_000 // each)
    return pa.concat_tables(
        _day(START + timedelta(day), each, {
            "truck": trucks, "celsius": number.cast(pa.float64()), "_seq": number, "_event": events,
            "_time": passed,
        })
        for day in days
    )  # fmt: skip


def _day(day: date, each: int, known: dict[str, Any]) -> Any:
    begin = int(datetime.combine(day, datetime.min.time(), UTC).timestamp() * 1e6)
    moments = pc.add(known["_time"], begin).cast(pa.timestamp("us", tz="UTC"))
    known |= {
        "_time": moments, "_received_at": moments, "_node": pa.repeat("old", each),
        "_site": pa.repeat("local", each), "_day": pa.repeat(day.isoformat(), each),
    }  # fmt: skip
    columns = [known.get(field.name, pa.nulls(each, field.type)) for field in SCHEMA]
    return pa.table(columns, schema=SCHEMA)
