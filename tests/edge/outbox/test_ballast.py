"""A disk that others have filled to the last byte: losses are recorded all the same, and a start begins."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rimward.edge.config import OutboxConfig
from rimward.edge.outbox.ballast import PART, Ballast
from rimward.edge.outbox.tending import Tending
from rimward.events import OutboxBroken, OutboxFull

from .outbox_support import SECOND, Wall, commit, core, query, row, spec, tallies

RESERVE = 4 << 20
CONFIG = OutboxConfig(reserve=RESERVE)
BIG = "x" * 10_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("who runs this may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> None:
    """Take every byte that is left, as another program does."""
    with contextlib.suppress(OSError), (disk / "other").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert os.statvfs(disk).f_bavail == 0


def test_losses_are_recorded_on_a_disk_without_a_byte_left(disk: Path) -> None:
    wall = Wall()
    with core(disk, wall, CONFIG) as outbox:
        Tending(outbox).tend()
        assert outbox.ballast.held == RESERVE // PART
        commit(outbox, *(row(BIG, max_age=60.0) for _ in range(20)))
    fill(disk)
    with core(disk, wall, CONFIG) as outbox:
        wall.now += 3600 * SECOND
        assert outbox.ballast.held == 0, "a start needs bytes"
        with pytest.raises(OutboxFull):
            outbox.admit(spec(when_full="refuse"), 50_000, ())
        Tending(outbox).tend()
        assert query(disk, "select lane, first, last, reason from lost") == [("warm", 1, 20, "expired")]
    assert tallies(disk)["warm"] == {"forwarded": 20, "expired": 20}


def test_without_its_ballast_no_start_begins_on_such_a_disk(disk: Path) -> None:
    with core(disk, None, CONFIG) as outbox:
        commit(outbox, row(BIG))
    fill(disk)
    with pytest.raises(OutboxBroken), core(disk, None, CONFIG):
        pass


def test_it_is_taken_again_when_there_is_room_and_said_while_there_is_none(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with core(disk, None, CONFIG) as outbox:
        tending = Tending(outbox)
        tending.tend()
        assert outbox.ballast.give_back()
        fill(disk)
        tending.tend()
        tending.tend()
        assert (outbox.ballast.held, outbox.on_reserve) == (0, True)
        (disk / "other").unlink()
        tending.tend()
        assert (outbox.ballast.held, outbox.on_reserve) == (RESERVE // PART, False)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["the disk has too little room: the outbox refuses rows and lives on its reserve"]


def test_its_bytes_are_real_and_given_back_once(disk: Path) -> None:
    before, ballast = os.statvfs(disk).f_bavail, Ballast(disk, RESERVE)
    assert ballast.take(16 << 20)
    assert (before - os.statvfs(disk).f_bavail) * os.statvfs(disk).f_frsize >= ballast.size
    assert not Ballast(disk, 64 << 20).take(16 << 20), "it takes no more than a part of what is free"
    assert [ballast.give_back(), ballast.give_back()] == [True, False]
