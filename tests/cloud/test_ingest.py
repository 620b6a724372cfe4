"""Ingest on real Delta tables: what is new is taken once, what can't be is said, and nothing is guessed."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deltalake import DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rimward.app.manifest import Column, FactSpec
from rimward.cloud.api import Stored, lanes_stored
from rimward.cloud.ingest.core import Envelope, Ingest
from rimward.cloud.lake import syncing
from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.storage import Folder, LakeBroken
from rimward.cloud.lake.tables import schema_of, to_arrow
from rimward.wire import Hello, Row, Welcome

from .cloud_support import (
    COLD,
    WARM,
    Disk,
    envelope,
    ingest,
    numbers,
    places,
    row,
    table,
)


def test_rows_are_stored_with_where_they_came_from(tmp_path: Path) -> None:
    outcome = ingest(tmp_path).take("warm", [envelope(1, 2)])
    assert (outcome.stored, outcome.dead, outcome.duplicates, outcome.gaps) == (2, 0, 0, 0)
    ((node, mark),) = outcome.marks
    assert (node, mark.fact, mark.reached, mark.nonce) == ("n1", "warm", (1, 2), 0xA)
    assert mark.version == DeltaTable(str(tmp_path / "lake" / "warm")).version()
    first = table(tmp_path)[0]
    assert (first["n"], first["note"], first["_event"], first["_site"]) == (1, "x", "e-1", "local")


def test_a_replay_writes_nothing_however_it_is_cut(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    version = table_version(tmp_path)
    for again in ([envelope(1, 10)], [envelope(1, 4), envelope(5, 10)], [envelope(3, 7)]):
        outcome = one.take("warm", again)
        assert (outcome.stored, outcome.duplicates) == (0, len(again))
        assert outcome.marks[0][1].reached == (1, 10), "a repeat is answered with the mark"
    assert table_version(tmp_path) == version
    outcome = one.take("warm", [envelope(5, 15)])
    assert outcome.stored == 5
    assert places(tmp_path) == numbers((1, 1, 15))


def test_a_gap_is_not_taken_and_is_answered_with_the_mark(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    outcome = one.take("warm", [envelope(3, 4)])
    assert (outcome.stored, outcome.gaps) == (0, 1)
    assert outcome.marks[0][1].reached == (0, 0)
    outcome = one.take("warm", [envelope(1, 2), envelope(4, 5), envelope(3, 3)])
    assert (outcome.stored, outcome.gaps) == (3, 1)
    assert outcome.marks[0][1].reached == (1, 3)


def test_a_new_epoch_waits_for_the_last_row_of_the_one_before(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    early = envelope(1, 5, (2, 0xB), prior=(1, 20, 0xA))
    outcome = one.take("warm", [early])
    assert (outcome.stored, outcome.gaps) == (0, 1)
    assert outcome.marks[0][1].reached == (1, 10)
    outcome = one.take("warm", [envelope(11, 20), early])
    assert (outcome.stored, outcome.gaps) == (15, 0)
    assert places(tmp_path) == numbers((1, 1, 20), (2, 1, 5))


def test_a_new_epoch_begins_with_its_first_row(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    assert one.take("warm", [envelope(2, 5, (3, 0xB), prior=(1, 10, 0xA))]).gaps == 1
    assert one.take("warm", [envelope(1, 5, (3, 0xB), prior=(1, 10, 0xA))]).stored == 5
    assert one.take("warm", [envelope(1, 10)]).duplicates == 1


def test_the_same_counter_of_another_disk_is_refused_not_taken_for_a_replay(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    for clone in (envelope(1, 5, (1, 0xBAD)), envelope(11, 12, (1, 0xBAD))):
        outcome = one.take("warm", [clone])
        assert (outcome.clashes, outcome.duplicates, outcome.stored) == (1, 0, 0)
        assert outcome.marks[0][1].nonce == 0xA, "what it hears is not its own mark and frees nothing"
    assert ingest(tmp_path).take("warm", [envelope(1, 5, (1, 0xBAD))]).clashes == 1, "known after a restart"
    assert one.take("cold", [envelope(1, 5, (1, 0xBAD), fact=COLD)]).clashes == 1, "whatever the fact"


def test_rows_below_the_mark_from_a_start_that_nothing_came_from_are_refused(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    one.take("warm", [envelope(1, 5, (3, 0xC), prior=(1, 10, 0xA))])
    assert one.take("warm", [envelope(1, 5, (2, 0xBAD))]).clashes == 1


def test_a_later_epoch_whose_rows_before_were_another_disks_is_refused(tmp_path: Path) -> None:
    """Else the mark of the later one would free rows that were refused."""
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    outcome = one.take("warm", [envelope(1, 5, (2, 0xB), prior=(1, 7, 0xBAD))])
    assert (outcome.clashes, outcome.stored) == (1, 0)
    assert places(tmp_path) == numbers((1, 1, 10))


def test_nodes_do_not_touch_each_others_marks(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    outcome = one.take("warm", [envelope(1, 3), envelope(1, 2, node="n2"), envelope(5, 6, node="n3")])
    assert {node: mark.reached for node, mark in outcome.marks} == {"n1": (1, 3), "n2": (1, 2), "n3": (0, 0)}
    assert [(node, mark.reached) for node, mark in ingest(tmp_path).marks()] == [
        ("n1", (1, 3)),
        ("n2", (1, 2)),
    ]


def test_two_writers_of_one_lake_store_every_row_once(tmp_path: Path) -> None:
    a, b = ingest(tmp_path), ingest(tmp_path)
    a.take("warm", [envelope(1, 10)])
    stale = b.take("warm", [envelope(1, 10)])
    assert (stale.stored, stale.duplicates) == (0, 1)
    b.take("warm", [envelope(11, 20)])
    late = a.take("warm", [envelope(5, 15), envelope(16, 25)])
    assert (late.stored, late.duplicates) == (5, 1)
    assert places(tmp_path) == numbers((1, 1, 25))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 30), st.integers(0, 12)), max_size=10))
def test_whatever_comes_in_whatever_order_no_row_is_doubled_or_skipped(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    writers = [ingest(folder) for _ in range(3)]
    for writer, first, more in pieces:
        writers[writer].take("warm", [envelope(first, first + more)])
    seqs = [seq for _, _, seq in places(folder)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert max((mark.seq for _, mark in ingest(folder).marks()), default=0) == len(seqs)


def test_a_lost_fence_is_looked_at_once_more_and_then_given_up(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 1)])

    def another_was_here(*_: object) -> None:
        raise CommitFailedError("Concurrent transaction failed")

    one.lake.tables["warm"].write = another_was_here  # pyright: ignore[reportAttributeAccessIssue] (a writer that is always faster)
    with pytest.raises(CommitFailedError):
        one.take("warm", [envelope(2, 2)])


# -- what does not fit


def test_a_row_that_does_not_fit_is_a_dead_letter_and_its_neighbours_are_stored(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    batch = envelope(1, 3, instead={2: row(2, "two", "x")})
    outcome = one.take("warm", [batch])
    assert (outcome.stored, outcome.dead) == (2, 1)
    (dead,) = table(tmp_path, "_dead")
    assert (dead["fact"], dead["_seq"], dead["rows"]) == ("warm", 2, 1)
    assert "Expected `int | null`, got `str`" in dead["reason"]
    assert msgspec.msgpack.decode(dead["body"], type=Row).values == ("two", "x")
    assert outcome.marks[0][1].reached == (1, 3)


def test_rows_of_another_schema_are_dead_letters_with_both_fingerprints(tmp_path: Path) -> None:
    other = FactSpec("Warm", "warm", "normal", None, WARM.columns, "print-9")
    outcome = ingest(tmp_path).take("warm", [envelope(1, 2, fact=other)])
    assert (outcome.stored, outcome.dead) == (0, 2)
    assert {dead["reason"] for dead in table(tmp_path, "_dead")} == {"schema print-9 is not print-1"}
    assert outcome.marks[0][1].reached == (1, 2), "ingest never stops for them"


def test_dead_rows_of_a_commit_that_was_cut_in_the_middle_are_not_written_again(tmp_path: Path) -> None:
    def batch(first: int, last: int) -> Envelope:
        every_third = range(3, last + 1, 3)
        return envelope(first, last, instead={seq: row(seq, "bad", "x") for seq in every_third})

    one = ingest(tmp_path)
    write = one.lake.tables["warm"].write

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    one.lake.tables["warm"].write = killed  # pyright: ignore[reportAttributeAccessIssue] (the process ends here)
    with pytest.raises(KeyboardInterrupt):
        one.take("warm", [batch(1, 6)])
    one.lake.tables["warm"].write = write  # pyright: ignore[reportAttributeAccessIssue] (its own again)
    assert [dead["_seq"] for dead in table(tmp_path, "_dead")] == [3, 6]
    again = ingest(tmp_path)
    again.take("warm", [batch(1, 4)])
    again.take("warm", [batch(5, 12)])
    assert [dead["_seq"] for dead in table(tmp_path, "_dead")] == [3, 6, 9, 12]
    assert places(tmp_path) == [("n1", 1, seq) for seq in range(1, 13) if seq % 3]


def test_lost_rows_are_a_gap_record_and_the_lane_goes_on(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    outcome = one.take("warm", [envelope(1, 2), envelope(3, 900, lost="corrupt"), envelope(901, 902)])
    assert (outcome.stored, outcome.lost) == (4, 898)
    (gap,) = table(tmp_path, "_gap")
    assert [gap[name] for name in ("fact", "_node", "_epoch", "first", "last", "rows", "reason")] == [
        "warm", "n1", 1, 3, 900, 898, "corrupt",
    ]  # fmt: skip
    again = one.take("warm", [envelope(3, 900, lost="corrupt")])
    assert (again.duplicates, len(table(tmp_path, "_gap"))) == (1, 1)


def test_only_rows_beyond_the_mark_are_lost(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    assert one.take("warm", [envelope(5, 12, lost="forgotten")]).lost == 2


def test_an_unreadable_envelope_is_one_dead_letter_for_its_range(tmp_path: Path) -> None:
    broken = envelope(1, 50)
    broken.rows, broken.unreadable = b"", ("its version is 2, this reads 1", b"\x01\x02")
    outcome = ingest(tmp_path).take("warm", [broken, envelope(51, 52)])
    assert (outcome.stored, outcome.dead) == (2, 50)
    (dead,) = table(tmp_path, "_dead")
    assert (dead["rows"], dead["body"], dead["reason"]) == (50, b"\x01\x02", "its version is 2, this reads 1")


def test_rows_of_an_unknown_fact_are_dead_letters_and_move_a_mark(tmp_path: Path) -> None:
    one = ingest(tmp_path, WARM)
    outcome = one.take("cold", [envelope(1, 3, fact=COLD)])
    assert (outcome.stored, outcome.dead) == (0, 3)
    assert outcome.marks[0][1].reached == (1, 3)
    assert one.take("cold", [envelope(1, 3, fact=COLD)]).duplicates == 1
    assert {dead["reason"] for dead in table(tmp_path, "_dead")} == {"the app has no fact cold"}
    known = ingest(tmp_path)
    outcome = known.take("cold", [envelope(2, 5, fact=COLD)])
    assert (outcome.stored, outcome.marks[0][1].reached) == (2, (1, 5))
    assert lanes_stored(tmp_path) == [Stored("n1", "cold", 2, 3, 1, 5)]


def test_the_ledgers_side_counts_what_is_stored_dead_and_lost(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    batch = envelope(1, 5, instead={1: row(1, "bad", "x")})
    one.take("warm", [batch, envelope(6, 9, lost="corrupt"), envelope(1, 1, node="n2", lost="forgotten")])
    assert lanes_stored(tmp_path) == [
        Stored("n1", "warm", 4, 1, 1, 9, 4, causes={"corrupt": 4}),
        Stored("n2", "warm", 0, 0, 1, 1, 1, causes={"forgotten": 1}),
    ]


# -- tables that change or go


def test_a_new_column_widens_the_table_and_old_rows_have_nothing_in_it(tmp_path: Path) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 1)])
    wider = FactSpec("Warm", "warm", "normal", None, (*WARM.columns, Column("at", "timestamp")), "print-3")
    outcome = ingest(tmp_path, wider).take("warm", [envelope(2, 2, fact=wider, values=("y", None))])
    assert outcome.stored == 1
    assert [one["at"] for one in table(tmp_path)] == [None, None]


def test_a_table_deleted_under_the_hub_is_made_anew_and_asks_for_everything(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    before = one.take("warm", [envelope(1, 10)]).marks[0][1]
    shutil.rmtree(tmp_path / "lake" / "warm")
    outcome = one.take("warm", [envelope(11, 20)])
    ((_, mark),) = outcome.marks
    assert (outcome.gaps, mark.reached) == (1, (0, 0))
    assert mark.table != before.table, "so the uplink believes a mark that went back"
    one.take("warm", [envelope(1, 10), envelope(11, 20)])
    assert places(tmp_path) == numbers((1, 1, 20))


def test_a_lake_deleted_under_the_hub_is_made_anew(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10)])
    shutil.rmtree(tmp_path / "lake")
    assert one.take("warm", [envelope(1, 12)]).stored == 12


def test_without_the_table_of_epochs_the_rows_say_which_counters_were_used(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 10), envelope(1, 5, (2, 0xB), prior=(1, 10, 0xA))])
    shutil.rmtree(tmp_path / "lake" / "_epochs")
    again = ingest(tmp_path)
    assert again.marks() == [], "whose rows they are can't be known before one says so"
    outcome = again.take("warm", [envelope(1, 5, (2, 0xB)), envelope(6, 7, (2, 0xB))])
    assert (outcome.duplicates, outcome.stored, outcome.marks[0][1].reached) == (1, 2, (2, 7))
    assert again.take("warm", [envelope(1, 5, (2, 0xBAD))]).clashes == 1
    assert again.take("warm", [envelope(1, 5, (3, 0xC), prior=(2, 7, 0xB))]).stored == 5


# -- stable storage


def test_data_then_log_then_folders_are_on_disk_before_a_mark_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ingest(tmp_path)
    disk = Disk(monkeypatch)
    version = one.take("warm", [envelope(1, 10)]).version
    warm = tmp_path / "lake" / "warm"
    mine = [path for path in disk.synced if path.is_relative_to(warm)]
    (data,) = warm.glob("_day=*/_site=*/*.parquet")
    log = warm / "_delta_log" / f"{version:020}.json"
    assert mine[:2] == [data, log]
    assert set(mine[2:]) == {data.parent, data.parent.parent, log.parent, warm}
    assert {tmp_path / "lake", tmp_path} <= set(disk.synced)


def test_every_table_is_on_disk_with_its_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    ingest(tmp_path)
    for name in ("warm", "cold", "_dead", "_gap", "_epochs"):
        assert tmp_path / "lake" / name / "_delta_log" / f"{0:020}.json" in disk.synced


def test_a_commit_whose_writer_was_killed_is_synced_before_its_mark_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ingest(tmp_path)
    monkeypatch.setattr(one.lake.tables["warm"], "_sync", str)
    version = one.take("warm", [envelope(1, 10)]).version
    disk = Disk(monkeypatch)
    ingest(tmp_path)
    warm = tmp_path / "lake" / "warm"
    assert warm / "_delta_log" / f"{version:020}.json" in disk.synced
    assert set(warm.glob("_day=*/_site=*/*.parquet")) <= set(disk.synced)


def test_another_writers_commits_in_between_are_synced_with_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = ingest(tmp_path), ingest(tmp_path)
    a.take("warm", [envelope(1, 1)])
    b.take("warm", [envelope(1, 1, node="n2")])
    b.take("warm", [envelope(2, 2, node="n2")])
    disk = Disk(monkeypatch)
    outcome = a.take("warm", [envelope(2, 2)])
    logs = {path.name for path in disk.synced if path.parent.parent.name == "warm" and path.suffix == ".json"}
    assert {f"{version:020}.json" for version in (2, 3, 4)} & logs == {
        f"{version:020}.json" for version in range(2, outcome.version + 1)
    }


ODD = [
    chr(code)
    for code in (*range(0x21), 0x22, 0x25, 0x5C, 0x7F, 0x85, 0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFF, 0x1F600)
]


def test_whatever_a_string_is_made_of_its_commit_is_on_disk_and_the_next_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strings lie in the log's statistics as they are: a line of JSON may hold U+2028."""
    one = ingest(tmp_path)
    disk = Disk(monkeypatch)
    notes = [*ODD, *(f"a{character}b" for character in ODD), "".join(ODD)]
    for seq, note in enumerate(notes, 1):
        assert one.take("warm", [envelope(seq, seq, values=(note,))]).marks[0][1].reached == (1, seq)
    assert [row["note"] for row in table(tmp_path)] == notes
    assert set((tmp_path / "lake" / "warm").glob("_day=*/*.parquet")) <= set(disk.synced)
    assert ingest(tmp_path).mark("n1", "warm") == (1, len(notes))


def test_a_commit_that_something_kept_from_being_synced_is_synced_before_its_mark_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ingest(tmp_path)
    real = syncing.sync_commit

    def stumble(path: Path, version: int) -> None:
        if path.name == "warm":
            raise KeyError("path")
        real(path, version)

    monkeypatch.setattr(syncing, "sync_commit", stumble)
    for _ in range(2):
        with pytest.raises(KeyError):
            one.take("warm", [envelope(1, 10)])
    assert places(tmp_path) == numbers((1, 1, 10)), "the commit itself is there, and nobody has heard of it"
    monkeypatch.setattr(syncing, "sync_commit", real)
    disk = Disk(monkeypatch)
    outcome = one.take("warm", [envelope(1, 10)])
    assert (outcome.duplicates, outcome.marks[0][1].reached) == (1, (1, 10))
    warm = tmp_path / "lake" / "warm"
    assert warm / "_delta_log" / f"{outcome.version:020}.json" in disk.synced
    assert set(warm.glob("_day=*/_site=*/*.parquet")) <= set(disk.synced)


def test_a_failed_fsync_tells_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ingest(tmp_path)
    disk = Disk(monkeypatch)
    disk.fail = True
    with pytest.raises(LakeBroken, match="Input/output error"):
        one.take("warm", [envelope(1, 10)])


def test_checkpoints_are_on_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cold = DurableTable(Folder(tmp_path / "lake"), "cold", schema_of(COLD.columns))
    disk = Disk(monkeypatch)
    for version in range(1, 102):
        cold.write(to_arrow(schema_of(COLD.columns), []), {"a": version})
    log = tmp_path / "lake" / "cold" / "_delta_log"
    written = {*log.glob("*.checkpoint*.parquet"), log / "_last_checkpoint"}
    assert len(written) >= 2
    assert written <= set(disk.synced)


def test_delta_itself_would_take_a_lower_mark(tmp_path: Path) -> None:
    """Why ingest compares: the day that this fails, the comparison may go."""
    cold = DurableTable(Folder(tmp_path / "lake"), "cold", schema_of(COLD.columns))
    for version in (4, 3):
        cold.write(to_arrow(schema_of(COLD.columns), []), {"a": version})
    assert cold.handle.transaction_version("a") == 3
    assert Transaction("a", 3).version == 3


def test_nothing_of_a_batch_without_news_is_written(tmp_path: Path) -> None:
    one: Ingest = ingest(tmp_path)
    before: dict[str, Any] = {name: one.lake.tables[name].version for name in one.lake.tables}
    one.take("warm", [envelope(7, 9)])
    assert {name: one.lake.tables[name].version for name in one.lake.tables} == before


def table_version(folder: Path, name: str = "warm") -> int:
    return DeltaTable(str(folder / "lake" / name)).version()


def test_rows_of_a_start_that_the_lane_has_left_are_refused_and_no_replay(tmp_path: Path) -> None:
    """Two disks share a start: one goes on with it while the copy's next start has come."""
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 4), envelope(1, 3, (2, 0xB), prior=(1, 4, 0xA))])
    again = one.take("warm", [envelope(1, 4)])
    assert (again.duplicates, again.clashes) == (1, 0), "these are there"
    late = one.take("warm", [envelope(3, 6)])
    assert (late.duplicates, late.clashes, len(late.foreign)) == (0, 1, 1)
    after = one.take("warm", [envelope(1, 2, (5, 0xC), prior=(1, 6, 0xA))])
    assert (after.stored, after.clashes) == (0, 1), "its row before never came"
    moved = one.take("warm", [envelope(1, 2, (6, 0xA), prior=(1, 4, 0xA))])
    assert (moved.stored, moved.marks[0][1].reached) == (2, (6, 2))


def test_a_lane_that_a_start_never_had_was_passed_without_it(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("cold", [envelope(1, 2, fact=COLD)])
    one.take("warm", [envelope(1, 3, (2, 0xB))])
    assert one.take("warm", [envelope(1, 4)]).clashes == 1
    hello = Hello("n1", "s", "b", "o", ((1, 0xA),))
    assert one.left(hello, Welcome("rekey", "h", 2, epochs=((1, 0xA),))) == {"warm": {1: 0}}


def test_an_ingest_that_another_overtook_looks_again_before_it_asks_for_rows(tmp_path: Path) -> None:
    """Nothing that it only refuses meets the fence of a commit."""
    old, new = ingest(tmp_path), ingest(tmp_path)
    new.take("warm", [envelope(1, 4), envelope(1, 3, (2, 0xB), prior=(1, 4, 0xA))])
    outcome = old.take("warm", [envelope(4, 6, (2, 0xB), prior=(1, 4, 0xA))])
    assert (outcome.gaps, outcome.clashes, outcome.stored) == (0, 0, 3)
    third = ingest(tmp_path)
    old.take("warm", [envelope(1, 1, (3, 0xC), prior=(2, 6, 0xB))])
    outcome = third.take("warm", [envelope(1, 1, (4, 0xD), prior=(3, 1, 0xC))])
    assert (outcome.clashes, outcome.stored) == (0, 1)
