# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (deltalake ships partial types)
"""The lake's upkeep: fewer files, the same rows and marks, and nothing of it in ingest's way."""

import os
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from rimward.app.manifest import FactSpec, Keeping
from rimward.cloud.api import lanes_stored
from rimward.cloud.config import UpkeepConfig
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.lake import tending
from rimward.cloud.lake.expiring import gone
from rimward.cloud.lake.storage import Folder, LakeBroken
from rimward.cloud.lake.tables import schema_of
from rimward.cloud.lake.tending import Tending
from rimward.cloud.lake.upkeep import FILES_TODAY, Upkeep
from rimward.cloud.store import Records

from .cloud_support import NOW, WARM, Disk, envelope, numbers, places, row, table

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
SOON = UpkeepConfig(small_files=10, keep_versions=0)


class Lake:
    """A lake with a clock, its ingest, and upkeep of the table `warm`."""

    def __init__(self, folder: Path, config: UpkeepConfig = SOON, retention: float | None = None) -> None:
        self.folder = folder
        self.now = NOW
        self.spec = FactSpec(
            WARM.name, WARM.table, WARM.priority, None, WARM.columns, WARM.fingerprint, Keeping(retention)
        )
        self.ingest = Ingest(folder / "lake", [self.spec], self.clock)
        self.retention = retention
        self.config = config
        self.upkeep = self.tending()

    def clock(self) -> int:
        return self.now

    def tending(self) -> Tending:
        return Tending(Folder(self.folder / "lake"), "warm", self.config, self.clock, self.retention)

    def fill(self, first: int, last: int, **how: Any) -> None:
        """Take rows, a commit each."""
        for seq in range(first, last + 1):
            self.ingest.take("warm", [envelope(seq, seq, **how)])

    def files(self) -> int:
        return len(self.table().file_uris())

    def table(self) -> DeltaTable:
        return DeltaTable(str(self.folder / "lake" / "warm"))


def test_many_small_commits_become_one_file_before_the_hour_is_over(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.upkeep.look()
    lake.fill(1, 9)
    assert not lake.upkeep.look().counts
    lake.fill(10, 12)
    assert lake.upkeep.look().counts["files_compacted"] == 12
    assert lake.files() == 1
    assert places(tmp_path) == numbers((1, 1, 12))


def test_ingest_goes_on_where_its_mark_was_beside_compaction(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for start in (1, 21, 41):
        lake.fill(start, start + 19)
        lake.upkeep.look()
    outcome = lake.ingest.take("warm", [envelope(41, 60), envelope(61, 61)])
    assert (outcome.duplicates, outcome.stored) == (1, 1)
    assert places(tmp_path) == numbers((1, 1, 61))
    assert lake.files() < 20


def test_a_closed_day_is_compacted_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path, UpkeepConfig())
    lake.fill(1, 3)
    lake.now += DAY
    lake.fill(4, 4)
    assert lake.upkeep.look().counts["files_compacted"] == 3
    lake.now += 2 * HOUR
    version = lake.table().version()
    assert not lake.upkeep.look().counts["files_compacted"]
    assert lake.table().version() == version
    assert lake.files() == 2


def test_each_site_has_files_of_its_own(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for seq, site in enumerate(("north", "south", "north", "south"), 1):
        lake.ingest.take("warm", [envelope(1, 1, node=f"n{seq}", site=site)])
    lake.upkeep.look()
    assert lake.files() == 2
    partitions = sorted(lake.table().partitions(), key=lambda one: str(one["_site"]))
    assert [one["_site"] for one in partitions] == ["north", "south"]


def test_what_compaction_wrote_is_on_disk_before_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    lake.fill(1, 3)
    disk = Disk(monkeypatch)
    lake.upkeep.look()
    warm = tmp_path / "lake" / "warm"
    [file] = [Path(uri) for uri in lake.table().file_uris()]
    for version in range(lake.table().version() + 1):
        assert warm / "_delta_log" / f"{version:020}.json" in disk.synced
    assert {file, file.parent, file.parent.parent, warm} <= set(disk.synced)


def test_a_checkpoint_is_on_disk_before_the_log_behind_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    lake.fill(1, 15)
    log = tmp_path / "lake" / "warm" / "_delta_log"
    disk = Disk(monkeypatch)
    disk.fail = True
    with pytest.raises(LakeBroken):
        lake.upkeep.look()
    assert (log / f"{0:020}.json").exists()
    disk.fail = False
    lake.tending().look()
    assert not (log / f"{0:020}.json").exists()
    [checkpoint] = log.glob("*.checkpoint.parquet")
    assert {checkpoint, log / "_last_checkpoint", log} <= set(disk.synced)


def test_marks_outlive_checkpoint_clean_up_and_vacuum(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.fill(1, 15)
    done = lake.upkeep.look().counts
    assert done["files_vacuumed"] == 15
    again = Ingest(tmp_path / "lake", [lake.spec], lake.clock)
    assert again.mark("n1", "warm") == (1, 15)
    assert again.take("warm", [envelope(1, 15)]).duplicates == 1
    lake.fill(16, 17)  # the handle that was open all the while
    assert places(tmp_path) == numbers((1, 1, 17))


def test_who_reads_an_old_version_can_finish(tmp_path: Path) -> None:
    lake = Lake(tmp_path, UpkeepConfig())
    lake.fill(1, 5)
    reader = lake.table()
    assert lake.upkeep.look().counts["files_compacted"] == 5
    rows: Any = reader.to_pyarrow_dataset().to_table()
    assert rows.num_rows == 5


def test_files_that_no_commit_has_go_too(tmp_path: Path) -> None:
    lake = Lake(tmp_path, UpkeepConfig())
    lake.fill(1, 1)
    [file] = [Path(uri) for uri in lake.table().file_uris()]
    orphan = file.with_name("part-00000-left-by-a-killed-writer.parquet")
    orphan.write_bytes(b"x")
    os.utime(orphan, (1, 1))
    lake.upkeep.look()
    assert file.exists()
    assert not orphan.exists()


@pytest.mark.parametrize("step", ["compacting", "compacted", "expired", "checkpointed", "vacuumed"])
def test_upkeep_that_dies_at_any_step_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    lake = Lake(tmp_path, retention=3 * DAY / 1e9)
    lake.fill(1, 3)
    lake.now += 5 * DAY
    lake.fill(4, 15)

    def die(name: str) -> None:
        if name == f"upkeep.{step}":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tending, "reach", die)
        with pytest.raises(KeyboardInterrupt):
            lake.upkeep.look()
    lake.tending().look()
    assert places(tmp_path) == numbers((1, 4, 15))
    assert gone(lake.table(), "expired", "n1", "warm") == 3
    assert lake.ingest.take("warm", [envelope(1, 15)]).duplicates == 1


def test_a_table_of_before_partitioned_by_day_alone_is_written_and_kept(tmp_path: Path) -> None:
    DeltaTable.create(str(tmp_path / "lake" / "warm"), schema_of(WARM.columns), partition_by=["_day"])
    lake = Lake(tmp_path)
    lake.fill(1, 12)
    assert lake.upkeep.look().counts["files_compacted"] == 12
    lake.fill(13, 13)
    assert places(tmp_path) == numbers((1, 1, 13))
    assert lake.table().metadata().partition_columns == ["_day"]


def test_a_device_clock_of_1970_makes_no_partition(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    early = row(1, 1, "x")
    early.received = 1_000
    one = envelope(1, 1, instead={1: early})
    lake.ingest.take("warm", [one])
    assert [row["_day"] for row in table(tmp_path)] == ["2026-11-18"]


# -- retention


def test_rows_expire_with_their_count_by_node_in_the_same_commit(tmp_path: Path) -> None:
    lake = Lake(tmp_path, UpkeepConfig(), retention=3 * DAY / 1e9)
    lake.fill(1, 3)
    lake.fill(1, 2, node="n2")
    lake.now += 2 * DAY
    lake.fill(4, 4)
    lake.upkeep.look()
    before = lake.table()
    assert gone(before, "expired", "n1", "warm") == 0
    lake.now += 2 * DAY
    assert lake.upkeep.look().counts["expired"] == 5
    for version in range(before.version(), lake.table().version() + 1):
        then = DeltaTable(str(tmp_path / "lake" / "warm"), version=version)
        rows: Any = then.to_pyarrow_dataset().to_table()
        counted = gone(then, "expired", "n1", "warm") + gone(then, "expired", "n2", "warm")
        assert rows.num_rows + counted == 6
    assert {(one.node, one.rows, one.expired) for one in lanes_stored(tmp_path)} == {
        ("n1", 1, 3),
        ("n2", 0, 2),
    }


def test_expired_rows_do_not_come_back_by_replay(tmp_path: Path) -> None:
    lake = Lake(tmp_path, retention=3 * DAY / 1e9)
    lake.fill(1, 3)
    lake.now += 5 * DAY
    lake.upkeep.look()
    again = Ingest(tmp_path / "lake", [lake.spec], lake.clock)
    assert again.take("warm", [envelope(1, 3), envelope(4, 4)]).duplicates == 1
    assert places(tmp_path) == numbers((1, 4, 4))


def test_rows_that_are_kept_for_hours_go_by_the_hour(tmp_path: Path) -> None:
    lake = Lake(tmp_path, retention=2 * HOUR / 1e9)
    lake.fill(1, 2)
    lake.now += HOUR
    lake.fill(3, 3)
    lake.upkeep.look()
    lake.now += 2 * HOUR
    assert lake.upkeep.look().counts["expired"] == 2
    assert places(tmp_path) == numbers((1, 3, 3))


def test_two_that_expire_the_same_rows_count_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path, retention=3 * DAY / 1e9)
    lake.fill(1, 3)
    lake.now += 5 * DAY
    other, real = lake.tending(), tending.expiry_of

    def slow(*arguments: Any) -> Any:
        found = real(*arguments)
        monkeypatch.setattr(tending, "expiry_of", real)
        other.look()
        return found

    monkeypatch.setattr(tending, "expiry_of", slow)
    assert lake.upkeep.look().counts["upkeep_retries"] == 1
    lake.upkeep.look()
    assert gone(lake.table(), "expired", "n1", "warm") == 3


# -- the part of the hub


def test_too_many_files_of_today_are_an_alarm_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = Lake(tmp_path)
    records = Records(tmp_path / "hub.db")
    config = UpkeepConfig(small_files=10, alarm_files=5)
    upkeep = Upkeep(Folder(tmp_path / "lake"), config, {}, records, lake.clock)
    upkeep.look()
    lake.fill(1, 6)
    upkeep.look()
    upkeep.look()
    assert records.counters()[FILES_TODAY] == 6
    assert [record.getMessage() for record in caplog.records].count(
        "a table has too many files of today"
    ) == 1
    lake.fill(7, 11)
    assert upkeep.look()["compactions"] == 1
    records.close()


def _ledger(folder: Path) -> tuple[int, int]:
    """Return how many rows of n1 are stored and how many have expired."""
    (one,) = [one for one in lanes_stored(folder) if one.node == "n1"]
    return one.rows, one.expired


def test_expired_rows_that_a_restore_brings_back_are_stored_and_no_longer_counted_as_gone(
    tmp_path: Path,
) -> None:
    lake = Lake(tmp_path, UpkeepConfig(), retention=3 * DAY / 1e9)
    lake.fill(1, 3)
    lake.upkeep.look()
    before = lake.table().version()
    lake.fill(4, 5)
    lake.now += 5 * DAY
    lake.fill(6, 6)
    lake.upkeep.look()
    assert _ledger(tmp_path) == (1, 5)
    lake.table().restore(before)
    lake.ingest.look()
    assert _ledger(tmp_path) == (3, 2), "rows 4 and 5 had expired, and are gone"
    ((_, mark),) = lake.ingest.marks()
    assert mark.reached == (1, 5), "so row 6 alone is asked for"
    lake.ingest.take("warm", [envelope(6, 6)])
    assert _ledger(tmp_path) == (4, 2)
    lake.now += HOUR
    lake.tending().look()
    assert _ledger(tmp_path) == (1, 5), "and expire again"
    again = Ingest(tmp_path / "lake", [lake.spec], lake.clock)
    assert not again.look()
    assert _ledger(tmp_path) == (1, 5)


def test_a_restore_whose_handling_was_cut_lowers_the_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path, UpkeepConfig(), retention=3 * DAY / 1e9)
    lake.fill(1, 3)
    before = lake.table().version()
    lake.fill(4, 4)
    lake.now += 5 * DAY
    lake.upkeep.look()
    lake.table().restore(before)
    monkeypatch.setattr(lake.ingest.lake.generations, "add", _die)
    monkeypatch.setattr("rimward.cloud.ingest.opened.Generations.add", _die)
    with pytest.raises(KeyboardInterrupt):
        lake.ingest.look()
    monkeypatch.undo()
    for _ in range(2):
        Ingest(tmp_path / "lake", [lake.spec], lake.clock)
        assert _ledger(tmp_path) == (3, 1)


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_lane_whose_rows_have_all_expired_stays_where_it_is_when_the_lake_is_restored(
    tmp_path: Path,
) -> None:
    """Else its node would be asked for rows that it has long forgotten, and they would be called lost."""
    lake = Lake(tmp_path, UpkeepConfig(), retention=3 * DAY / 1e9)
    lake.fill(1, 3)
    lake.ingest.take("warm", [envelope(1, 2, (2, 0xB), prior=(1, 3, 0xA))])
    lake.now += 5 * DAY
    lake.fill(1, 1, node="n2")
    lake.upkeep.look()
    assert places(tmp_path) == numbers((1, 1, 1), node="n2")
    before = lake.table().version()
    lake.fill(2, 2, node="n2")
    lake.ingest.take("warm", [envelope(3, 4, (2, 0xB))])
    lake.table().restore(before)
    lake.ingest.look()
    marks = {node: mark.reached for node, mark in lake.ingest.marks()}
    assert marks == {"n1": (2, 2), "n2": (1, 1)}
    assert lake.ingest.take("warm", [envelope(1, 4, (2, 0xB))]).lost == 0
    assert places(tmp_path) == [*numbers((2, 3, 4)), *numbers((1, 1, 1), node="n2")]
