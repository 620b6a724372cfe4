"""A damaged outbox: what can be read goes on under its old names, what can't is a loss that is counted."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rimward.edge.deep.reader import OutboxReader
from rimward.edge.outbox import file
from rimward.edge.outbox.notes import Damage
from rimward.wire import Segment

from .outbox_support import commit, core, letter, mark, query, row, rows, tallies

PAGE = 4096


def filled(folder: Path, count: int = 60, size: int = 3_000) -> tuple[int, str]:
    """Fill an outbox; return its epoch's nonce and its id."""
    with core(folder) as outbox:
        for number in range(count):
            commit(outbox, row(f"{number} ".ljust(size)), row(number, "cold"))
        outbox.commit([], {("s", "k"): b"v"}, [letter(b"p")])
        nonce = outbox.epoch.nonce
    return nonce, query(folder, "select value from meta where key = 'id'")[0][0]


def pages_of(folder: Path, table: str) -> list[int]:
    """Return the numbers of a table's pages, its root first; the file is not damaged yet."""
    root = query(folder, f"select rootpage from sqlite_schema where name = '{table}'")[0][0]
    raw = (folder / "outbox.db").read_bytes()
    found = [root]
    for page in found:
        data = raw[(page - 1) * PAGE : page * PAGE]
        if data[0] == 2:  # an interior page of an index
            count = int.from_bytes(data[3:5], "big")
            found.append(int.from_bytes(data[8:12], "big"))
            for cell in range(count):
                at = int.from_bytes(data[12 + 2 * cell : 14 + 2 * cell], "big")
                found.append(int.from_bytes(data[at : at + 4], "big"))
    return found


def ruin(folder: Path, pages: list[int]) -> None:
    raw = bytearray((folder / "outbox.db").read_bytes())
    for page in pages:
        raw[(page - 1) * PAGE : page * PAGE] = b"\xa5" * PAGE
    (folder / "outbox.db").write_bytes(raw)


def flip(folder: Path, value: str) -> None:
    """Turn one bit of a row's bytes, where it lies in the file."""
    raw = bytearray((folder / "outbox.db").read_bytes())
    raw[raw.index(value.encode()) + 5] ^= 1
    (folder / "outbox.db").write_bytes(raw)


def segments(folder: Path, lane: str) -> list[Segment]:
    with closing(OutboxReader(folder / "outbox.db", "n1")) as reader:
        (supply,) = [one for one in reader.supplies() if one.fact == lane]
        found, after = list[Segment](), (0, 0)
        while (segment := reader.segment(supply, after)) is not None:
            found.append(segment)
            after = segment.end
        return found


def check_lane(folder: Path, lane: str, nonce: int, count: int) -> int:
    """Check that a lane is gapless with its losses; return how many rows are lost."""
    found = [one for one in segments(folder, lane) if one.lane.epoch.counter == 1]
    assert {one.lane.epoch.nonce for one in found} == {nonce}
    assert [one.first for one in found] == [1, *(one.last + 1 for one in found[:-1])]
    assert found[-1].last == count
    assert {one.lost for one in found} <= {None, "corrupt"}
    return sum(one.last - one.first + 1 for one in found if one.lost)


def test_a_torn_page_costs_its_rows_alone(tmp_path: Path) -> None:
    nonce, name = filled(tmp_path)
    pages = pages_of(tmp_path, "chunk")
    ruin(tmp_path, [pages[3], pages[7]])
    with core(tmp_path) as outbox:
        assert outbox.quarantined is not None
        assert outbox.epoch.counter == 2
        assert outbox.load() == {"s": {"k": b"v"}}
        assert (outbox.dead_total, outbox.stock.bytes) == (
            1,
            query(tmp_path, "select sum(bytes) from lane")[0][0],
        )
        commit(outbox, row("new"))
    lost = check_lane(tmp_path, "warm", nonce, 60)
    assert 0 < lost < 50
    found = tallies(tmp_path)
    assert found["warm"] == {"forwarded": 61, "corrupt": lost}
    assert found["cold"].get("corrupt", 0) == check_lane(tmp_path, "cold", nonce, 60)
    assert query(tmp_path, "select value from meta where key = 'id'") == [(name,)]
    kept = [seq for counter, lane, seq, _ in rows(tmp_path) if (counter, lane) == (1, "warm")]
    assert len(kept) == 60 - lost


def test_what_the_lake_has_of_a_damaged_file_is_no_loss(tmp_path: Path) -> None:
    nonce, _ = filled(tmp_path)
    with core(tmp_path) as outbox:
        (tmp_path / "marks").write_bytes(mark(outbox, 60, counter=1, nonce=nonce).encode())
    ruin(tmp_path, [pages_of(tmp_path, "chunk")[7]])
    with core(tmp_path):
        assert "corrupt" not in tallies(tmp_path)["warm"]


@pytest.mark.parametrize("table", ["lane", "tally", "epoch", "cell", "dead", "meta"])
def test_a_file_without_one_of_its_tables_keeps_its_rows(tmp_path: Path, table: str) -> None:
    nonce, name = filled(tmp_path)
    ruin(tmp_path, [pages_of(tmp_path, table)[0]])
    with core(tmp_path) as outbox:
        assert outbox.quarantined is not None
        assert len([one for one in rows(tmp_path) if one[:2] == (1, "warm")]) == 60
        same = query(tmp_path, "select value from meta where key = 'id'") == [(name,)]
        assert same == (table not in {"tally", "meta"}), "a count that is gone is another outbox's"
        if table != "epoch":
            assert check_lane(tmp_path, "warm", nonce, 60) == 0


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_start_that_was_killed_between_salvage_and_exchange_is_finished(tmp_path: Path) -> None:
    filled(tmp_path)
    ruin(tmp_path, [pages_of(tmp_path, "chunk")[7]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "_replace", killed)
        with pytest.raises(KeyboardInterrupt):
            core(tmp_path).__enter__()
    (tmp_path / "outbox.db").rename(tmp_path / "outbox.5.corrupt")
    with core(tmp_path) as outbox:
        assert outbox.epoch.counter == 2
        assert len(rows(tmp_path)) > 60
    assert not (tmp_path / "outbox.salvaged").exists()


def test_a_turned_bit_is_found_by_the_reader_and_counted_by_the_writer_once(tmp_path: Path) -> None:
    nonce, _ = filled(tmp_path, 6)
    flip(tmp_path, "3         ")
    with core(tmp_path) as outbox:
        assert outbox.quarantined is None, "the database is whole"
        assert check_lane(tmp_path, "warm", nonce, 6) == 1
        said = Damage.decode((tmp_path / "damaged").read_bytes())
        assert said == Damage(((1, "warm", 4, 4),))
        assert outbox.damaged(said.ranges) == 1
        assert outbox.damaged(said.ranges) == 0
        assert outbox.damaged([(1, "warm", 1, 1)]) == 0, "a reader that errs takes nothing away"
        assert check_lane(tmp_path, "warm", nonce, 6) == 1
        assert tallies(tmp_path)["warm"] == {"forwarded": 6, "corrupt": 1}


def test_a_large_file_is_not_read_before_the_node_serves_and_says_so_when_it_is(tmp_path: Path) -> None:
    filled(tmp_path)
    ruin(tmp_path, [pages_of(tmp_path, "chunk")[7]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "CHECKED", 0)
        with core(tmp_path) as outbox:
            assert outbox.quarantined is None
            with pytest.raises(sqlite3.DatabaseError, match="malformed"):
                segments(tmp_path, "warm")
            assert Damage.decode((tmp_path / "damaged").read_bytes()).torn
            outbox.give_up()
        with core(tmp_path) as outbox:
            assert outbox.quarantined is not None, "it can't be copied as a whole"
            assert len(rows(tmp_path)) > 60
