# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (pyarrow ships partial types)
"""Rows as columns: exactly what came, or a dead letter; never something near it."""

from datetime import UTC, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.app.manifest import Column
from rimward.cloud.batch import Batch
from rimward.cloud.forms import Form
from rimward.cloud.tables import DEAD, schema_of, to_arrow
from rimward.wire import Epoch, Header, Lane, Row

from .cloud_support import NOW

LANE = Lane("n1", Epoch(1, 7), "all")


class OneForm:
    """The forms of a fact that has had one."""

    def __init__(self, *columns: Column) -> None:
        self.columns = columns

    def form(self, fact: str, fingerprint: str) -> Form | None:
        return Form(self.columns) if (fact, fingerprint) == ("all", "print") else None

    def reason(self, fact: str, fingerprint: str) -> str:
        return f"{fact} and {fingerprint} are not known"


def batch_of(columns: tuple[Column, ...], rows: list[Row]) -> Batch:
    """Take rows, whose numbers are from 1 on."""
    batch = Batch("all", schema_of(columns), OneForm(*columns), NOW)
    header = Header("print", "normal", 1, len(rows), 0)
    batch.add(LANE, header, msgspec.msgpack.encode(rows), [(1, len(rows))])
    return batch


def row(seq: int, *values: Any, mono: int | None = None) -> Row:
    return Row(seq, NOW, "e", None, "unsynced", replayed=False, trace=None, values=values, mono=mono)


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats() | st.integers(-(2**63), 2**63 - 1),
    "string": st.text(),
    "binary": st.binary(),
    "timestamp": st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-14)))),
    "date": st.dates(),
    "json": st.text(),
}
COLUMNS = tuple(
    Column(f"c{n}", kind) for n, kind in enumerate([*CELLS, *(f"list<{kind}>" for kind in CELLS)])
)


@given(
    st.tuples(*(st.none() | cell for cell in (*CELLS.values(), *map(st.lists, CELLS.values())))),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(-(2**63), 2**64 - 1),
    st.none() | st.integers(-(2**63), 2**64 - 1),
)  # fmt: skip
def test_whatever_the_wire_brings_and_msgspec_takes_arrow_takes_too_or_it_is_dead(
    values: tuple[Any, ...], received: int | None, time: int | None, mono: int | None
) -> None:
    """Else one row could stop ingest for ever."""
    sent = Row(1, received, "e", time, "unsynced", replayed=False, trace=b"t" * 16, values=values, mono=mono)
    batch = batch_of(COLUMNS, [sent])
    assert batch.table().num_rows + to_arrow(DEAD, [kept.row for kept in batch.dead]).num_rows == 1


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
WIDE = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 2**63, 2**64 - 1])
SYSTEM_CELLS: list[st.SearchStrategy[Any]] = [  # a row's own, without its number and its values
    st.none() | WIDE, st.text(), st.none() | WIDE, st.text(), st.booleans(),
    st.none() | st.binary(max_size=20),
]  # fmt: skip


@st.composite
def hostile(draw: st.DrawFn, seq: int) -> list[Any]:
    """Return a row as the wire may bring it: up to two of its cells are anything, or there are others."""
    found = [seq, *(draw(cell) for cell in SYSTEM_CELLS), [draw(WIDE)], draw(st.none() | WIDE)]
    for _ in range(draw(st.integers(0, 2))):
        found[draw(st.integers(0, len(found) - 1))] = draw(ANYTHING)
    return found[: draw(st.integers(0, 9))] if draw(st.booleans()) else [*found, draw(ANYTHING)]


@given(
    st.integers(1, 2**40 - 3).flatmap(
        lambda first: st.tuples(st.just(first), hostile(first), hostile(first + 1))
    ),
    st.text(),
    st.text(alphabet="aé/\0") | st.integers(0, 300).map("x".__mul__),
)
def test_no_row_of_a_hostile_node_raises_and_each_is_stored_or_dead(
    sent: tuple[int, list[Any], list[Any]], fingerprint: str, site: str
) -> None:
    """An exception would be that of every envelope in the same commit, and for ever."""
    first, *rows = sent
    columns = (Column("c", "int64"),)
    batch = Batch("all", schema_of(columns), OneForm(*columns), NOW)
    for schema in ("print", fingerprint):
        header = Header(schema, "normal", first, first + 1, 0, site)
        batch.add(LANE, header, msgspec.msgpack.encode(rows), [(first, first + 1)])
    table, dead = batch.table(), to_arrow(DEAD, [kept.row for kept in batch.dead])
    assert table.num_rows + sum(dead.column("rows").to_pylist()) == 4
    for one in table.to_pylist():  # exactly as it came
        row = msgspec.msgpack.decode(msgspec.msgpack.encode(rows[one["_seq"] - first]), type=Row)
        assert (one["_event"], one["_clock"], one["_mono"]) == (row.event, row.clock, row.mono)
        assert one["_trace"] == (row.trace.hex() if row.trace else None)
        assert len(one["_trace"] or "") in (0, 32)


def test_a_header_that_names_more_rows_than_memory_holds_is_one_dead_letter() -> None:
    batch = Batch("all", schema_of((Column("c", "int64"),)), OneForm(Column("c", "int64")), NOW)
    header = Header("print", "normal", 1, 2**40 - 1, 0)
    batch.add(LANE, header, msgspec.msgpack.encode([row(1, 1)]), [(1, 2**40 - 1)])
    (dead,) = batch.dead
    assert dead.row[4] == 2**40 - 1


def test_rows_of_a_site_that_no_folder_can_be_named_after_are_dead() -> None:
    """A commit with them would fail for ever, and with it that of every other node's rows."""
    batch = Batch("all", schema_of((Column("c", "int64"),)), OneForm(Column("c", "int64")), NOW)
    rows = msgspec.msgpack.encode([row(1, 1)])
    for site in ("é" * 34, "x" * 200):  # é is two bytes, and three letters each in a folder's name
        batch.add(LANE, Header("print", "normal", 1, 1, 0, site), rows, [(1, 1)])
    (dead,) = batch.dead
    assert dead.row[2] == "site has 204 bytes as a folder's name, the limit is 200"
    assert batch.table().column("_site").to_pylist() == ["x" * 200]


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("int64", 2, 1.5),
        ("int64", 2**63 - 1, 2**63),
        ("int64", -5, "5"),
        ("int64", 1, True),
        ("float64", 3, 2**53 + 1),
        ("float64", 0.1, "0.1"),
        ("bool", True, 1),
        ("string", "x", b"x"),
        ("list<int64>", [1, None], [1.0]),
        ("list<float64>", [1, 0.5], [2**53 + 1]),
    ],
)
def test_a_value_that_is_not_exactly_of_its_columns_type_is_dead_and_its_neighbours_are_not(
    column: str, good: Any, bad: Any
) -> None:
    if column.startswith("list<int64") and None in good:
        good = [1, 2]
    batch = batch_of((Column("c", column),), [row(1, good), row(2, bad), row(3, None), row(4, good)])
    table = batch.table()
    assert table.column("_seq").to_pylist() == [1, 3, 4]
    assert table.column("c").to_pylist() == [good, None, good]
    (dead,) = batch.dead
    assert dead.row[DEAD.get_field_index("_seq")] == 2
    assert msgspec.msgpack.decode(dead.row[DEAD.get_field_index("body")], type=Row).values == (bad,)


def test_rows_that_are_not_those_of_the_header_are_one_dead_letter() -> None:
    batch = Batch("all", schema_of((Column("c", "int64"),)), OneForm(Column("c", "int64")), NOW)
    header = Header("print", "normal", 1, 3, 0)
    batch.add(LANE, header, msgspec.msgpack.encode([row(1, 1), row(3, 1)]), [(1, 3)])
    (dead,) = batch.dead
    assert (dead.row[2], dead.row[4]) == ("its 2 rows are not 1 to 3", 3)
    assert batch.table().num_rows == 0


def test_only_rows_of_the_spans_are_taken_each_with_where_it_is_from() -> None:
    columns = (Column("c", "int64"),)
    batch = Batch("all", schema_of(columns), OneForm(*columns), NOW)
    lane = Lane("n1", Epoch(4, 7), "all-2")
    rows = [row(seq, seq, mono=None if seq == 2 else seq) for seq in range(1, 9)]
    batch.add(lane, Header("print", "normal", 1, 8, 0), msgspec.msgpack.encode(rows), [(2, 3), (7, 7)])
    table = batch.table().to_pylist()
    assert [(one["c"], one["_seq"], one["_epoch"], one["_lane"]) for one in table] == [
        (2, 2, 4, "all-2"), (3, 3, 4, "all-2"), (7, 7, 4, "all-2")
    ]  # fmt: skip
    assert [one["_mono"] for one in table] == [None, 3, 7]


def test_what_no_int64_holds_and_a_trace_of_another_length_is_a_dead_letter_beside_its_neighbours() -> None:
    columns = (Column("c", "int64"),)
    rows = [row(1, 1), row(2, 2, mono=2**63), row(3, 3), row(4, 4), row(5, 5, mono=2**63 - 1)]
    rows[2].trace, rows[3].trace = b"t" * 15, b"t" * 16
    batch = batch_of(columns, rows)
    assert batch.table().column("_seq").to_pylist() == [1, 4, 5]
    assert [kept.row[DEAD.get_field_index("_seq")] for kept in batch.dead] == [2, 3]
    assert [kept.row[DEAD.get_field_index("_mono")] for kept in batch.dead] == [None, None]
    assert "15 bytes" in batch.dead[1].row[DEAD.get_field_index("reason")]
