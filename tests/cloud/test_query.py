"""SQL over the lake: what comes back, and what can't be reached."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rimward.cloud.query import query


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
