"""Disks that forget, repeat, tear or lie about the time, through the real outbox, uplink and ingest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .model.cores import TABLES, Cores, empty_lake

YEAR = 365 * 86_400 * 10**9  # ns


@pytest.fixture
def cores(tmp_path: Path) -> Iterator[Cores]:
    cores = Cores(tmp_path / "run", empty_lake(tmp_path / "empty"), keeps=True)
    yield cores
    cores.close()


def messages(cores: Cores, count: int, *, groups: int = 4) -> None:
    """Take messages and commit them, in so many groups."""
    for _ in range(groups):
        cores.take(count // groups)
        cores.commit(None)


def upload(cores: Cores) -> None:
    """Let all that waits into the lake and the node hear of it."""
    cores.send()
    cores.hub_takes(list(cores.bus), None)
    for which in range(len(cores.marks)):
        cores.hear(which)


def done(cores: Cores) -> None:
    """Let everything have its time, and check the account."""
    cores.settle()
    cores.check()


def test_a_disk_that_went_back_and_grew_past_the_mark_offline_loses_and_doubles_nothing(cores: Cores) -> None:
    messages(cores, 8)
    cores.copy_disk()
    messages(cores, 8)
    upload(cores)
    cores.roll_back()
    messages(cores, 40)  # its numbers go beyond what the lake has of the one before
    done(cores)
    assert cores.excused == set(), "what the disk forgot was in the lake"


def test_a_wal_cut_after_the_upload_is_an_older_disk(cores: Cores) -> None:
    messages(cores, 8)
    upload(cores)
    cores.cut_wal(0.5)
    messages(cores, 40)
    done(cores)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_wal_cut_anywhere_opens_and_what_follows_is_whole(cores: Cores, share: float) -> None:
    messages(cores, 16)
    cores.cut_wal(share)
    messages(cores, 8)
    done(cores)


def test_a_clock_that_jumps_by_a_year_frees_nothing_that_waits(cores: Cores) -> None:
    for jump in (YEAR, -YEAR, -YEAR, YEAR):
        messages(cores, 4)
        cores.jump(jump)
        upload(cores)
        cores.node_dies()
    done(cores)


def test_a_lost_bus_is_sent_everything_again(cores: Cores) -> None:
    messages(cores, 8)
    cores.send()
    cores.bus.clear()
    messages(cores, 8)
    done(cores)


def test_uploads_that_come_twice_and_in_any_order_are_harmless(cores: Cores) -> None:
    for _ in range(6):
        messages(cores, 2, groups=1)
        cores.send()
    uploads = list(cores.bus)
    for order in (uploads[::-1], uploads[::2], uploads + uploads, uploads[1::2]):
        cores.hub_takes(order, None)
    done(cores)


def test_a_damaged_page_costs_what_it_held_and_says_so(cores: Cores) -> None:
    """What can't be read is a recorded loss; every other row arrives."""
    for _ in range(30):
        messages(cores, 40, groups=1)
    cores.tear_page()
    assert cores.core.quarantined is not None, "the tear was seen"
    messages(cores, 8)
    cores.settle()
    lost = cores.lost()
    for table in TABLES:
        missing = cores.acknowledged - set(cores.rows(table))
        assert len(missing) <= lost[table], f"{len(missing)} rows are missing, {lost[table]} recorded"
        assert len(missing) < 600, "most of it arrived"
