"""Restored lakes, on real Delta tables: what is gone is asked for again, what is there is never doubled."""

import shutil
from pathlib import Path

from deltalake import DeltaTable, Transaction

from rimward.app.manifest import FactSpec
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.ingest.generations import InProcess
from rimward.cloud.lake.durable import operation_of
from rimward.wire import Mark

from .cloud_support import COLD, NOW, WARM, envelope, numbers, places, row, table


def ingest(folder: Path, memory: InProcess | None = None, *facts: FactSpec) -> Ingest:
    return Ingest(folder / "lake", facts or (WARM, COLD), lambda: NOW, memory)


def marks(one: Ingest) -> dict[str, Mark]:
    """Return the marks of the one node of most tests, by lane."""
    return {mark.fact: mark for _, mark in one.marks()}


def restore(folder: Path, version: int, name: str = "warm") -> None:
    DeltaTable(str(folder / "lake" / name)).restore(version)


def version(folder: Path, name: str = "warm") -> int:
    return DeltaTable(str(folder / "lake" / name)).version()


def test_delta_itself_keeps_the_transaction_of_rows_that_a_restore_took_back(tmp_path: Path) -> None:
    """Why marks are counted anew: the day that this fails, they may be believed."""
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 5)])
    before = version(tmp_path)
    one.take("warm", [envelope(6, 9)])
    restore(tmp_path, before)
    handle = DeltaTable(str(tmp_path / "lake" / "warm"))
    assert (handle.transaction_version("n1:warm") or 0) & 0xFF == 9
    assert places(tmp_path) == numbers((1, 1, 5))
    assert Transaction("a", 1).version == 1


def test_a_restore_lowers_the_marks_raises_the_generation_and_rows_come_again_once(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 50)])
    one.take("cold", [envelope(1, 7, fact=COLD)])
    before = version(tmp_path)
    one.take("warm", [envelope(51, 110)])
    assert marks(one)["warm"].generation == 0
    restore(tmp_path, before)
    assert one.look()
    found = marks(one)
    assert (found["warm"].reached, found["warm"].generation) == ((1, 50), 1)
    assert (found["cold"].reached, found["cold"].generation) == ((1, 7), 1), "nothing of it is gone"
    assert not one.look(), "once for an event"
    one.take("warm", [envelope(51, 120)])
    assert places(tmp_path) == numbers((1, 1, 120))
    assert marks(ingest(tmp_path))["warm"].generation == 1, "the lake itself remembers it"


def test_a_restore_is_seen_by_the_commit_that_follows_it(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 50)])
    before = version(tmp_path)
    one.take("warm", [envelope(51, 60)])
    restore(tmp_path, before)
    outcome = one.take("warm", [envelope(61, 70)])
    ((_, mark),) = outcome.marks
    assert (outcome.gaps, outcome.stored, mark.reached, mark.generation) == (1, 0, (1, 50), 1)


def test_a_restore_while_nobody_ingests_is_seen_at_the_start_whatever_hub_db_knows(tmp_path: Path) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 50)])
    before = version(tmp_path)
    ingest(tmp_path).take("warm", [envelope(51, 60)])
    restore(tmp_path, before)
    found = marks(ingest(tmp_path))["warm"]
    assert (found.reached, found.generation) == ((1, 50), 1)
    assert marks(ingest(tmp_path))["warm"].generation == 1


def test_what_left_the_outbox_is_lost_only_where_it_is_not_in_the_table(tmp_path: Path) -> None:
    """A dead letter and a row of another copy are there still; they are neither doubled nor called lost."""
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 50)])
    before = version(tmp_path)
    one.take("warm", [envelope(51, 60, instead={55: row(55, "bad", "x")}), envelope(61, 64, lost="corrupt")])
    restore(tmp_path, before)
    one.look()
    outcome = one.take("warm", [envelope(51, 57, lost="forgotten"), envelope(58, 70)])
    assert (outcome.lost, outcome.stored, outcome.dead) == (6, 9, 0)
    assert places(tmp_path) == numbers((1, 1, 50), (1, 58, 60), (1, 65, 70))
    gaps = [(gap["first"], gap["last"], gap["reason"]) for gap in table(tmp_path, "_gap")]
    assert gaps == [(51, 54, "forgotten"), (56, 57, "forgotten"), (61, 64, "corrupt")]
    assert [dead["_seq"] for dead in table(tmp_path, "_dead")] == [55]


def test_an_epoch_that_was_cut_off_by_a_restore_is_not_passed_over(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 15)])
    before = version(tmp_path)
    one.take("warm", [envelope(16, 20)])
    one.take("warm", [envelope(1, 5, (2, 0xB), prior=(1, 20, 0xA))])
    restore(tmp_path, before)
    one.look()
    assert marks(one)["warm"].reached == (1, 15)
    late = envelope(1, 5, (2, 0xB), prior=(1, 20, 0xA))
    assert one.take("warm", [late]).gaps == 1
    one.take("warm", [envelope(16, 20), late])
    assert places(tmp_path) == numbers((1, 1, 20), (2, 1, 5))


def test_whole_epochs_stay_passed_after_a_restore(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 20)])
    one.take("warm", [envelope(1, 5, (2, 0xB), prior=(1, 20, 0xA))])
    before = version(tmp_path)
    one.take("warm", [envelope(6, 9, (2, 0xB))])
    restore(tmp_path, before)
    one.look()
    assert marks(one)["warm"].reached == (2, 5)


def test_an_epoch_that_its_node_has_forgotten_is_lost_row_by_row_and_nothing_else_is(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 15)])
    before = version(tmp_path)
    one.take("warm", [envelope(16, 20)])
    one.take("warm", [envelope(1, 5, (2, 0xB), prior=(1, 20, 0xA))])
    restore(tmp_path, before)
    one.look()
    outcome = one.take("warm", [envelope(1, 9, (2, 0xB))])
    assert (outcome.stored, outcome.lost) == (9, 5)
    assert places(tmp_path) == numbers((1, 1, 15), (2, 1, 9))
    assert [(gap["_epoch"], gap["first"], gap["last"]) for gap in table(tmp_path, "_gap")] == [(1, 16, 20)]


def test_an_older_copy_of_the_lake_is_known_by_what_hub_db_remembers(tmp_path: Path) -> None:
    memory = InProcess()
    one = ingest(tmp_path, memory)
    one.take("warm", [envelope(1, 10)])
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    memory.saw(one.take("warm", [envelope(11, 20)]).seen)
    shutil.rmtree(tmp_path / "lake")
    shutil.copytree(tmp_path / "copy", tmp_path / "lake")
    again = ingest(tmp_path, memory)
    found = marks(again)["warm"]
    assert (found.reached, found.generation) == ((1, 10), 1)
    again.take("warm", [envelope(11, 20)])
    assert places(tmp_path) == numbers((1, 1, 20))
    assert marks(ingest(tmp_path, memory))["warm"].generation == 1


def test_a_restored_table_of_dead_letters_lets_its_rows_come_again(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 3, instead={2: row(2, "bad", "x")})])
    before = version(tmp_path, "_dead")
    one.take("warm", [envelope(4, 6, instead={5: row(5, "bad", "x")})])
    restore(tmp_path, before, "_dead")
    one.look()
    assert marks(one)["warm"].reached == (1, 4)
    outcome = one.take("warm", [envelope(5, 6, instead={5: row(5, "bad", "x")})])
    assert (outcome.dead, outcome.stored) == (1, 0), "row 6 is there"
    assert [dead["_seq"] for dead in table(tmp_path, "_dead")] == [2, 5]
    assert places(tmp_path) == numbers((1, 1, 1), (1, 3, 4), (1, 6, 6))


def test_a_restored_table_of_epochs_makes_no_clash_of_a_node_that_is_known(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 3)])
    before = version(tmp_path, "_epochs")
    one.take("warm", [envelope(1, 2, (2, 0xB), prior=(1, 3, 0xA))])
    restore(tmp_path, before, "_epochs")
    one.look()
    again = one.take("warm", [envelope(1, 4, (2, 0xB), prior=(1, 3, 0xA))])
    assert (again.clashes, again.stored) == (0, 2)
    assert places(tmp_path) == numbers((1, 1, 3), (2, 1, 4))


def test_of_two_processes_that_find_the_same_restore_one_raises_the_generation(tmp_path: Path) -> None:
    a, b = ingest(tmp_path), ingest(tmp_path)
    a.take("warm", [envelope(1, 5)])
    before = version(tmp_path)
    a.take("warm", [envelope(6, 9)])
    b.look()
    restore(tmp_path, before)
    assert a.look()
    assert b.look()
    assert marks(a)["warm"].generation == marks(b)["warm"].generation == 1
    a.take("warm", [envelope(6, 9)])
    b.take("warm", [envelope(6, 12)])
    assert places(tmp_path) == numbers((1, 1, 12))


def test_a_row_that_says_restore_makes_no_commit_one() -> None:
    info = b'{"commitInfo":{"timestamp":1,"operation":"%s"}}'
    added = b'{"add":{"path":"p","stats":"{\\"maxValues\\":{\\"note\\":\\"RESTORE commitInfo\\"}}"}}'
    assert operation_of(added + b"\n" + info % b"WRITE" + b"\n") == "WRITE"
    assert operation_of(info % b"RESTORE" + b"\n" + added) == "RESTORE"
    assert operation_of(added) is None
