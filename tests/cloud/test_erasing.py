# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""What was erased is gone from the lake and its files, is counted, and comes back by no way."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deltalake import DeltaTable

from rimward.cloud.api import lanes_stored
from rimward.cloud.erasing.forgetting import Forgetting
from rimward.cloud.erasing.lake import LakeEraser
from rimward.cloud.erasing.listing import Erasures
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.ingest.replaying import Replaying
from rimward.cloud.lake.storage import Folder
from rimward.wire import Row
from rimward.wire.erasing import Erasure, erasure

from .cloud_support import COLD, NOW, WARM, envelope, numbers, places, row, table

MINUTE = 60_000_000_000
NAME = "Ada Lovelace"


def listed(folder: Path) -> Erasures:
    return Erasures(folder, Folder(folder / "lake"))


def ingest(folder: Path, now: int = NOW) -> Ingest:
    return Ingest(folder / "lake", (WARM, COLD), lambda: now, None, listed(folder))


def forget(folder: Path, value: str = NAME, field: str = "note", fact: str | None = None) -> Erasure:
    """Put a key on the list, as `rimward erase` does."""
    fresh = erasure(f"e-{field}", NOW + MINUTE, (fact, field, value), "salt")
    listed(folder).add(fresh)
    return fresh


def eraser(folder: Path) -> LakeEraser:
    return LakeEraser(Folder(folder / "lake"), lambda: NOW)


def named(*seqs: int, **changes: Any) -> dict[int, Row]:
    """Return rows that have the name."""
    return {seq: msgspec.structs.replace(row(seq, seq, NAME), **changes) for seq in seqs}


def erased(folder: Path, fact: str = "warm") -> int:
    """Return what the ledger says was erased: in the table, and on its way."""
    return sum(one.erased + one.causes.get("erased", 0) for one in lanes_stored(folder) if one.fact == fact)


def has_bytes(folder: Path, text: str) -> list[str]:
    """Return the data files that have a text."""
    return [file.name for file in folder.rglob("*.parquet") if text.encode() in file.read_bytes()]


def test_rows_go_with_their_files_and_the_count_is_in_the_same_commit(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 5, instead=named(2, 3))])
    one.take("warm", [envelope(1, 4, node="n2", instead=named(4)), envelope(6, 8)])
    assert has_bytes(tmp_path / "lake" / "warm", NAME)
    fresh = forget(tmp_path)
    assert eraser(tmp_path).find("warm", [fresh]) == 3
    assert eraser(tmp_path).erase("warm", [fresh])[0] == 3
    assert places(tmp_path) == [*numbers((1, 1, 1), (1, 4, 8)), *numbers((1, 1, 3), node="n2")]
    assert not has_bytes(tmp_path / "lake" / "warm", NAME), "nor in the files of older versions"
    log = tmp_path / "lake" / "warm" / "_delta_log"
    deletes = [
        entry.read_text() for entry in log.glob("*.json") if '"operation":"DELETE"' in entry.read_text()
    ]
    assert ["erased:n1:warm" in entry and "erased:n2:warm" in entry for entry in deletes] == [True]
    found = {one.node: (one.rows, one.erased) for one in lanes_stored(tmp_path) if one.fact == "warm"}
    assert found == {"n1": (6, 2), "n2": (3, 1)}
    assert eraser(tmp_path).erase("warm", [fresh])[0] == 0
    assert one.take("warm", [envelope(1, 8)]).duplicates == 1, "the mark is what it was"


def test_a_node_that_was_away_brings_nothing_of_it_and_its_other_rows_come(tmp_path: Path) -> None:
    forget(tmp_path)
    outcome = ingest(tmp_path).take("warm", [envelope(1, 6, instead=named(1, 2, 5))])
    assert (outcome.stored, outcome.erased, outcome.lost) == (3, 3, 0)
    assert places(tmp_path) == numbers((1, 3, 4), (1, 6, 6))
    assert erased(tmp_path) == 3
    assert ingest(tmp_path).take("warm", [envelope(1, 6, instead=named(1, 2, 5))]).duplicates == 1
    assert erased(tmp_path) == 3


def test_a_row_that_its_node_has_blanked_is_counted_as_erased(tmp_path: Path) -> None:
    blank = msgspec.structs.replace(row(2), values=())
    outcome = ingest(tmp_path).take("warm", [envelope(1, 3, instead={2: blank})])
    assert (outcome.stored, outcome.erased, outcome.dead) == (2, 1, 0)


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        ({"received": NOW + 2 * MINUTE, "clock": "synced"}, True),
        ({"received": NOW + 2 * MINUTE, "clock": "unsynced"}, False),
        ({"received": NOW + 2 * MINUTE, "clock": "synced", "replayed": True}, False),
        ({"received": NOW + 2 * MINUTE, "clock": "synced", "time": NOW}, False),
        ({"received": None, "clock": "synced"}, False),
        ({"received": NOW, "clock": "synced"}, False),
    ],
)
def test_who_was_erased_may_come_again_and_only_with_what_is_known_to_be_later(
    tmp_path: Path, changes: dict[str, Any], *, stays: bool
) -> None:
    fresh = forget(tmp_path)
    later = ingest(tmp_path, NOW + 3 * MINUTE)
    assert later.take("warm", [envelope(1, 1, instead=named(1, **changes))]).stored == stays
    assert eraser(tmp_path).erase("warm", [fresh])[0] == 0


def test_an_older_copy_of_the_lake_brings_rows_back_and_they_go_again(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 4, instead=named(2))])
    shutil.copytree(tmp_path / "lake", tmp_path / "copy")
    forget(tmp_path)
    again = Forgetting(tmp_path, Folder(tmp_path / "lake"), lambda: NOW + 60 * MINUTE)
    assert [again.look(), again.look()] == [1, 0]
    one.take("warm", [envelope(5, 5)])
    shutil.rmtree(tmp_path / "lake")
    (tmp_path / "copy").rename(tmp_path / "lake")
    assert again.look() == 1
    assert places(tmp_path) == numbers((1, 1, 1), (1, 3, 4))
    assert erased(tmp_path) == 1


def test_a_mark_that_a_restore_lowers_does_not_stop_at_an_erased_row(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 4, instead=named(2))])
    eraser(tmp_path).erase("warm", [forget(tmp_path)])
    one.take("warm", [envelope(5, 6)])
    handle = DeltaTable(str(tmp_path / "lake" / "warm"))
    handle.restore(handle.version() - 1)
    restored = ingest(tmp_path)
    assert restored.mark("n1", "warm") == (1, 4)
    assert restored.take("warm", [envelope(5, 6)]).stored == 2
    assert places(tmp_path) == numbers((1, 1, 1), (1, 3, 6))


def test_dead_letters_go_too_by_their_field_or_by_any_cell_where_no_form_is_known(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    bad = {2: row(2, "no number", NAME), 3: row(3, "no number", "other")}
    one.take("warm", [envelope(1, 3, instead=bad)])
    unknown = msgspec.structs.replace(envelope(4, 4, instead=named(4)).header, schema="print-9")
    strange = envelope(4, 4, instead=named(4))
    strange.header = unknown
    one.take("warm", [strange])
    assert len(table(tmp_path, "_dead")) == 3
    fresh = forget(tmp_path)
    assert eraser(tmp_path).find_dead([fresh]) == 2
    assert eraser(tmp_path).erase_dead([fresh])[0] == 2
    assert [dead["_seq"] for dead in table(tmp_path, "_dead")] == [3]
    assert not has_bytes(tmp_path / "lake" / "_dead", NAME)
    assert erased(tmp_path) == 2
    stored = next(one for one in lanes_stored(tmp_path) if one.fact == "warm")
    assert stored.rows + stored.dead + stored.erased == 4


def test_replaying_dead_letters_stores_none_that_falls_under_an_erasure(tmp_path: Path) -> None:
    strange = envelope(1, 2, instead=named(1))
    strange.header = msgspec.structs.replace(strange.header, schema="print-9")
    ingest(tmp_path).take("warm", [strange])
    forget(tmp_path)
    known = msgspec.structs.replace(WARM, fingerprint="print-9")
    newer = Ingest(tmp_path / "lake", (known, COLD), lambda: NOW, None, listed(tmp_path))
    done = Replaying(newer.lake, lambda: NOW, newer.rules).fact("warm")
    assert (done.stored, done.dead) == (1, 1)
    assert [(one["_seq"], one["note"]) for one in table(tmp_path)] == [(2, "x")]


def test_the_list_outlives_the_hubs_folder_and_never_has_the_value(tmp_path: Path) -> None:
    forget(tmp_path)
    files = [tmp_path / "hub" / "erasures.json", tmp_path / "lake" / "_erasures.json"]
    assert all(file.exists() and "Ada" not in file.read_text() for file in files)
    files[0].unlink()
    assert ingest(tmp_path).take("warm", [envelope(1, 1, instead=named(1))]).erased == 1
    files[1].unlink()
    assert [one.field for one in listed(tmp_path).heal()] == ["note"]
    assert files[1].exists()


def test_an_erasure_that_is_lifted_is_off_both_lists_and_rows_are_stored_again(tmp_path: Path) -> None:
    fresh = forget(tmp_path)
    assert [listed(tmp_path).lift("another"), listed(tmp_path).lift(fresh.id)] == [False, True]
    assert (listed(tmp_path).heal(), listed(tmp_path).name) == ((), "")
    assert ingest(tmp_path).take("warm", [envelope(1, 1, instead=named(1))]).stored == 1


def test_a_key_of_one_fact_leaves_the_others_alone(tmp_path: Path) -> None:
    one = ingest(tmp_path)
    one.take("warm", [envelope(1, 3)])
    one.take("cold", [envelope(1, 3, fact=COLD)])
    fresh = forget(tmp_path, "2", "n", "cold")
    assert [eraser(tmp_path).erase(name, [fresh])[0] for name in ("cold", "warm")] == [1, 0]
    assert places(tmp_path, "cold") == numbers((1, 1, 1), (1, 3, 3))
