import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.observe import AmbiguousTrace, read_snapshot, read_trace, recent_traces
from rimward.observe.store import Damaged, TraceStore, move_aside, snapshot_row, trace_row

from .samples import rows, snapshot, trace

ROOM = 16 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder?" / "trace.db"


@pytest.fixture
def store(path: Path) -> TraceStore:
    path.parent.mkdir()
    return TraceStore.open(path, ROOM)


def test_what_was_written_is_read_by_others_while_the_writer_goes_on(path: Path, store: TraceStore) -> None:
    store.write(rows(1, 2), snapshot_row(snapshot(at=7)))
    assert read_trace(path, "last") == trace(2)
    assert read_snapshot(path) == snapshot(at=7)
    store.write(rows(3), None)
    assert recent_traces(path, 2) == [trace(3), trace(2)]
    assert read_snapshot(path) == snapshot(at=7)
    store.close()
    assert read_trace(path, "last") == trace(3)


def test_a_file_that_is_opened_again_goes_on(path: Path, store: TraceStore) -> None:
    store.write(rows(1), None)
    store.close()
    again = TraceStore.open(path, ROOM)
    again.write(rows(2), None)
    assert recent_traces(path, 9) == [trace(2), trace(1)]
    again.close()


def test_a_trace_is_found_by_its_id_and_by_its_unique_beginning(path: Path, store: TraceStore) -> None:
    store.write(rows(0xA << 124, 0xAB << 120, 0xAC << 120), None)
    full = f"{0xAB << 120:032x}"
    assert read_trace(path, full) == trace(0xAB << 120)
    assert read_trace(path, "AB") == trace(0xAB << 120)
    assert read_trace(path, "b") is None
    with pytest.raises(AmbiguousTrace, match="give more"):
        read_trace(path, "a")
    store.close()


def test_an_id_that_came_twice_gives_the_newest(path: Path, store: TraceStore) -> None:
    store.write([trace_row(trace(5, sender=name)) for name in ("first", "second")], None)
    found = read_trace(path, trace(5).id)
    assert found is not None
    assert found.sender == "second"
    store.close()


@given(wanted=st.text(max_size=40))
def test_no_question_breaks_the_lookup(tmp_path_factory: pytest.TempPathFactory, wanted: str) -> None:
    file = tmp_path_factory.getbasetemp() / "asked.db"
    if not file.exists():
        store = TraceStore.open(file, ROOM)
        store.write(rows(1), None)
        store.close()
    found = read_trace(file, wanted)
    assert found is None or wanted == "last" or found.id.startswith(wanted.lower())


def test_a_missing_or_damaged_file_reads_as_empty(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path / "none.db") is None
    assert read_trace(tmp_path / "none.db", "last") is None
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "bad.db").write_bytes(b"not a database at all" * 100)
    assert read_snapshot(tmp_path / "bad.db") is None
    assert recent_traces(tmp_path / "bad.db", 5) == []


def test_the_file_stays_under_its_cap_and_keeps_the_newest(path: Path) -> None:
    path.parent.mkdir()
    cap = 1 << 20
    store = TraceStore.open(path, cap)
    for batch in range(60):
        store.write(
            [trace_row(trace(batch * 100 + n, sender="x" * 300)) for n in range(100)],
            snapshot_row(snapshot()),
        )
    assert store.dropped > 0
    newest = recent_traces(path, 10_000)
    assert [t.at for t in newest] == list(range(5999, 5999 - len(newest), -1))
    assert len(newest) > 500
    store.close()
    assert path.stat().st_size <= cap


def test_a_file_of_something_else_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(Damaged, match="version"):
        TraceStore.open(path, ROOM)
    assert path.read_bytes() == before


@pytest.mark.parametrize("at", [0, 100, 4096])
def test_a_broken_file_is_known_as_broken(path: Path, store: TraceStore, at: int) -> None:
    store.write(rows(*range(500)), None)
    store.close()
    data = bytearray(path.read_bytes())
    data[at : at + 3000] = b"\xff" * 3000
    path.write_bytes(data)
    with pytest.raises(Damaged):  # noqa: PT012 (where it shows depends on which page is broken)
        broken = TraceStore.open(path, ROOM)
        try:
            broken.write(rows(*range(500)), None)
        finally:
            broken.close()


def test_a_damaged_file_goes_aside_over_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    for content in ("one", "two"):
        path.write_text(content)
        (tmp_path / "trace.db-wal").write_text("log")
        aside = move_aside(path)
    assert aside.read_text() == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["trace.db.damaged"]
