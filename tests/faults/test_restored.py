"""A lake that goes back, through the real outbox, uplink, hello and ingest: what is gone comes, or is said.

Within `keep_after_commit` nothing is lost; beyond it the node says which rows it has no more, and they are
counted lost where they are not in the table (GUARANTEES §2).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .model.cores import TABLES, Cores, empty_lake
from .test_disks import done, messages, upload

Restore = Callable[[], None]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return empty_lake(tmp_path / "empty")


@pytest.fixture(params=[True, False], ids=["inside", "outside"])
def cores(tmp_path: Path, lake: Path, request: pytest.FixtureRequest) -> Iterator[Cores]:
    """Return a node that keeps committed rows, and one that does not."""
    cores = Cores(tmp_path / "run", lake, keeps=request.param)
    yield cores
    cores.close()


def by_delta(cores: Cores) -> Restore:
    """Return a restore of both tables, by Delta itself, to what they are now."""
    versions = {table: cores.delta(table).version() for table in TABLES}

    def restore() -> None:
        for table, version in versions.items():
            cores.delta(table).restore(version)

    return restore


def by_backup(cores: Cores) -> Restore:
    """Return a restore of lake and hub.db together to what they are now."""
    aside = cores.put_lake_aside()
    return lambda: cores.restore_hub(aside)


@pytest.mark.parametrize("point", [by_delta, by_backup])
def test_rows_that_a_restore_took_back_come_again_or_are_counted_lost(
    cores: Cores, point: Callable[[Cores], Restore]
) -> None:
    messages(cores, 8)
    upload(cores)
    restore = point(cores)
    messages(cores, 8)
    cores.jump(1)  # ns after which what the lake has is not kept any more
    upload(cores)
    restore()
    messages(cores, 4)
    cores.settle()
    lost = cores.lost()
    for table in TABLES:
        found = cores.rows(table)
        assert len(found) == len(set(found)), "none is doubled"
        assert set(range(1, 9)) | set(range(17, 21)) <= set(found), "what was before, and what came after"
        assert lost[table] == 20 - len(found), "what is missing is said"
    assert lost == dict.fromkeys(TABLES, 0 if cores.keeps else 8)


def test_a_restore_in_the_middle_of_a_fork_loses_and_doubles_nothing(tmp_path: Path, lake: Path) -> None:
    cores = Cores(tmp_path / "run", lake, keeps=True)
    messages(cores, 4)
    cores.copy_disk()
    upload(cores)
    restore = by_backup(cores)
    with cores.on_the_copy():
        messages(cores, 4)
        cores.settle()
    messages(cores, 4)
    cores.settle()
    restore()
    with cores.on_the_copy():
        cores.settle()
    done(cores)
    cores.close()
