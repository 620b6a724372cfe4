"""Two disks under one name, through the real outbox, uplink, hello and ingest: the rows of both, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .model.cores import Cores, empty_lake
from .test_disks import done, messages, upload


@pytest.fixture
def cores(tmp_path: Path) -> Iterator[Cores]:
    cores = Cores(tmp_path / "run", empty_lake(tmp_path / "empty"), keeps=True)
    yield cores
    cores.close()


def test_rows_that_waited_on_both_disks_are_taken_once(cores: Cores) -> None:
    """The copy's start has another nonce: it is told to move, but not the rows that the lake has."""
    messages(cores, 4)
    cores.copy_disk()
    upload(cores)
    cores.node_dies()
    messages(cores, 4)
    upload(cores)
    cores.roll_back()
    messages(cores, 4)
    done(cores)


def test_a_disk_that_lives_on_beside_its_copy_loses_nothing(cores: Cores) -> None:
    """Its epoch goes on below the mark of the copy's next one: those rows are no replay."""
    messages(cores, 4)
    cores.copy_disk()
    with cores.on_the_copy():
        messages(cores, 4)
        upload(cores)
    messages(cores, 4)
    upload(cores)
    done(cores)


def test_a_disk_of_which_nothing_came_before_its_copys_rows_loses_nothing(cores: Cores) -> None:
    """Its only epoch is below the mark and unknown: it is refused, and has to be told to move."""
    cores.copy_disk()
    messages(cores, 4)
    with cores.on_the_copy():
        messages(cores, 4)
        upload(cores)
    done(cores)
