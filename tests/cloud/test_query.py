# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, duckdb and deltalake ship partial types)
"""SQL over the lake: what comes back, and what can't be reached."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from msgspec import Struct

from rimward.app import App
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.lake.exporting import export
from rimward.cloud.lake.query import query
from rimward.cloud.lake.storage import Folder
from rimward.cloud.lake.view import LocalLake

from .cloud_support import NOW, WARM, envelope

DAY = 86_400_000_000_000


def ask(lake: Path, sql: str) -> list[dict[str, Any]]:
    return query(lake, sql).to_pylist()


def test_a_sum_of_integers_is_an_integer(tmp_path: Path) -> None:
    assert ask(tmp_path, "select sum(v) as n from (values (1::bigint), (2)) t(v)") == [{"n": 3}]
    assert type(ask(tmp_path, "select sum(v) as n from (values (1::bigint)) t(v)")[0]["n"]) is int


def test_a_sum_past_int64_stays_whole(tmp_path: Path) -> None:
    [row] = ask(tmp_path, "select sum(v) as n from (values (9223372036854775807::bigint), (1)) t(v)")
    assert row == {"n": Decimal(9223372036854775808)}


def test_a_decimal_with_places_stays_a_decimal(tmp_path: Path) -> None:
    assert ask(tmp_path, "select 1.5::decimal(4, 2) as n") == [{"n": Decimal("1.50")}]


def test_files_outside_the_lake_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.Error):
        ask(tmp_path / "lake", f"select * from read_csv('{tmp_path / 'secret.csv'}')")
    with pytest.raises(duckdb.Error):
        ask(tmp_path / "lake", "set enable_external_access = true")


# -- a table of several days


def days(lake: Path, count: int) -> dict[str, list[Path]]:
    """Fill `warm` with one row a day, each day in files of its own; return them."""
    for day in range(count):
        one = Ingest(lake, (WARM,), lambda day=day: NOW + day * DAY)
        one.take("warm", [envelope(day + 1, day + 1)])
    found: dict[str, list[Path]] = {}
    for uri in DeltaTable(str(lake / "warm")).file_uris():
        found.setdefault(Path(uri).parent.parent.name.removeprefix("_day="), []).append(Path(uri))
    return found


@pytest.mark.parametrize(
    "where",
    [
        "_day = '2026-11-20'",
        "_day = '2026-11-20' and _site = 'local'",
        "_received_at between '2026-11-20 00:00:00+00' and '2026-11-20 23:59:59+00'",
        "_received_at >= timestamptz '2026-11-21 00:00:00+00' - interval '24 hours' and _day < '2026-11-21'",
    ],
)
def test_a_query_of_one_day_opens_no_file_of_another(tmp_path: Path, where: str) -> None:
    files = days(tmp_path, 4)
    for day, paths in files.items():
        if day != "2026-11-20":
            for path in paths:
                path.unlink()
    assert ask(tmp_path, f"select n, _day from warm where {where}") == [{"n": 3, "_day": "2026-11-20"}]


def test_only_the_tables_that_a_query_names_are_opened(tmp_path: Path) -> None:
    days(tmp_path, 1)
    broken = tmp_path / "cold" / "_delta_log"
    broken.mkdir(parents=True)
    (broken / f"{0:020}.json").write_text("no JSON")
    assert ask(tmp_path, "with w as (select * from WARM) select count(*) as n from w")[0]["n"] == 1
    with pytest.raises(DeltaError):
        ask(tmp_path, "select * from cold")


@pytest.mark.parametrize("sql", ["select * from delta_scan('x')", "install httpfs", "load delta"])
def test_no_extension_of_duckdb_is_fetched(tmp_path: Path, sql: str) -> None:
    with pytest.raises(duckdb.Error, match=r"disabled|not exist|locked|Missing Extension"):
        ask(tmp_path, sql)


def test_any_reader_of_delta_can_read_the_tables(tmp_path: Path) -> None:
    days(tmp_path, 2)
    table = DeltaTable(str(tmp_path / "warm"))
    assert table.protocol().min_reader_version == 1
    assert not table.protocol().reader_features
    rows: Any = table.to_pyarrow_table()
    want = {(row["n"], date.fromisoformat(row["_day"]), row["_site"]) for row in rows.to_pylist()}
    with duckdb.connect() as db:
        sql = "select n, _day, _site from read_parquet($files, hive_partitioning=true)"
        assert set(db.sql(sql, params={"files": table.file_uris()}).fetchall()) == want


# -- the lake as functions see it


def test_a_fact_is_found_by_the_name_that_it_was_given(tmp_path: Path) -> None:
    app = App("cold", compat="2026-11-01")

    @app.fact(name="Heat")
    class Warmth(Struct):  # its table is `heat`
        n: int

    spec = app.manifest().facts[0]
    Ingest(tmp_path, (spec,), lambda: NOW).take("heat", [envelope(1, 2, fact=spec)])
    loaded_again = type("Warmth", (Struct,), {"__annotations__": {"n": int}})
    lake = LocalLake(tmp_path, NOW, app.facts)
    assert lake.table(Warmth).num_rows == 2
    assert lake.table(loaded_again).num_rows == 2


# -- export


def test_rows_are_exported_with_their_types_and_their_partitions(tmp_path: Path) -> None:
    days(tmp_path / "lake", 3)
    assert export(Folder(tmp_path / "lake"), "warm", tmp_path / "all.parquet") == 3
    rows: Any = pq.read_table(tmp_path / "all.parquet")
    assert sorted(rows.column("_day").to_pylist()) == ["2026-11-18", "2026-11-19", "2026-11-20"]
    assert str(rows.schema.field("_received_at").type) == "timestamp[us, tz=UTC]"
    assert export(Folder(tmp_path / "lake"), "warm", tmp_path / "late.csv", NOW + DAY) == 2
    assert len((tmp_path / "late.csv").read_text().splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "lake", "late.csv"]


def test_a_cell_of_csv_is_never_a_formula(tmp_path: Path) -> None:
    notes = ["=1+1", "+2", "-3", "@x", "\ty", "plain"]
    one = Ingest(tmp_path, (WARM,), lambda: NOW)
    for seq, note in enumerate(notes, 1):
        one.take("warm", [envelope(seq, seq, values=(note,))])
    export(Folder(tmp_path), "warm", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        cells = {row["note"] for row in csv.DictReader(file)}
    assert cells == {"plain", *(f"'{note}" for note in notes[:-1])}
