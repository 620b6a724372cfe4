"""Dead letters get a second try after a fix: once in the table, and then no dead letter any more."""

from pathlib import Path

import pytest

from rimward.app.manifest import Column, FactSpec
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.ingest.opened import OpenLake
from rimward.cloud.ingest.replaying import Replayed, Replaying, dead_rows
from rimward.cloud.lake.storage import Folder

from .cloud_support import COLD, NOW, WARM, envelope, ingest, places, row, table

WIDER = FactSpec("Warm", "warm", "normal", None, (*WARM.columns, Column("at", "timestamp")), "print-3")


def replaying(folder: Path, *facts: FactSpec) -> Replaying:
    return Replaying(OpenLake(folder / "lake", facts, lambda: NOW), lambda: NOW)


def test_rows_of_a_newer_schema_wait_as_dead_letters_until_the_hub_has_it(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 2), envelope(3, 4, fact=WIDER, values=("y", None)), envelope(5, 5)])
    assert [dead.id for dead in dead_rows(Folder(tmp_path / "lake"))] == ["n1/1/warm/3", "n1/1/warm/4"]
    assert replaying(tmp_path, WARM).known() == Replayed()
    assert replaying(tmp_path, WIDER).known() == Replayed(stored=2)
    assert [(one["_seq"], one["_replayed"]) for one in table(tmp_path)] == [
        (1, False), (2, False), (3, True), (4, True), (5, False)
    ]  # fmt: skip
    assert dead_rows(Folder(tmp_path / "lake")) == []
    assert replaying(tmp_path, WIDER).known() == Replayed()


def test_a_row_that_does_not_fit_stays_dead(tmp_path: Path) -> None:
    ingest(tmp_path).take("warm", [envelope(1, 3, instead={2: row(2, "bad", "x")})])
    assert replaying(tmp_path, WARM).fact("warm") == Replayed(dead=1)
    assert len(dead_rows(Folder(tmp_path / "lake"))) == 1


def test_a_try_that_was_cut_is_mended_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(tmp_path, WARM).take("cold", [envelope(1, 3, fact=COLD)])
    cut = replaying(tmp_path, WARM, COLD)
    monkeypatch.setattr(cut, "_delete", list)
    assert cut.known() == Replayed(stored=3)
    assert len(dead_rows(Folder(tmp_path / "lake"))) == 3, "stored, and its dead letters are there yet"
    assert replaying(tmp_path, WARM, COLD).known() == Replayed(there=3)
    assert places(tmp_path, "cold") == [("n1", 1, 1), ("n1", 1, 2), ("n1", 1, 3)]
    assert dead_rows(Folder(tmp_path / "lake")) == []


def test_two_tries_at_once_store_a_row_once(tmp_path: Path) -> None:
    ingest(tmp_path, WARM).take("cold", [envelope(1, 3, fact=COLD)])
    first, second = replaying(tmp_path, COLD), replaying(tmp_path, COLD)
    assert first.known() == Replayed(stored=3)
    second.known()
    assert places(tmp_path, "cold") == [("n1", 1, 1), ("n1", 1, 2), ("n1", 1, 3)]


def test_an_envelope_that_could_not_be_read_is_tried_as_a_whole(tmp_path: Path) -> None:
    whole = envelope(1, 3)
    broken = envelope(1, 3)
    broken.unreadable = ("its version is 2, this reads 1", whole.rows)
    one: Ingest = ingest(tmp_path)
    one.take("warm", [broken])
    (dead,) = dead_rows(Folder(tmp_path / "lake"))
    assert dead.rows == 3
    assert replaying(tmp_path, WARM).fact("warm") == Replayed(stored=3)
    assert places(tmp_path) == [("n1", 1, 1), ("n1", 1, 2), ("n1", 1, 3)]
