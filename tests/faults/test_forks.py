"""Two disks under one name, through the real outbox, uplink, hello and ingest: the rows of both, once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .model.cores import TABLES, Cores, empty_lake
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


def test_rows_of_a_start_that_went_on_come_where_a_later_one_clashes(cores: Cores) -> None:
    """The hub knows the first start by the same nonce, and the lane has left it before its last rows came."""
    messages(cores, 4)
    cores.copy_disk()
    with cores.on_the_copy():
        messages(cores, 4)
        upload(cores)
    messages(cores, 4)  # the first start goes on
    cores.node_dies()
    messages(cores, 4)  # with the copy's counter
    done(cores)


def test_rows_of_a_start_that_went_on_come_though_no_counter_clashes(cores: Cores) -> None:
    """The starts between had no rows, and the newest is above every one that the hub knows."""
    messages(cores, 4)
    cores.copy_disk()
    with cores.on_the_copy():
        messages(cores, 4)
        upload(cores)
    messages(cores, 4)
    for _ in range(3):
        cores.node_dies()
    messages(cores, 4)
    upload(cores)
    done(cores)


def test_a_start_of_which_one_lane_came_keeps_the_other_lanes_number_on_both_disks(cores: Cores) -> None:
    """Whichever of them sends it, the rows are the same; only what has another nonce moves."""
    messages(cores, 4)
    cores.copy_disk()
    cores.send()
    cores.bus = [upload for upload in cores.bus if TABLES[0] in upload[0]]
    cores.hub_takes(list(cores.bus), None)
    cores.bus.clear()
    cores.node_dies()
    messages(cores, 4)
    cores.hello()
    with cores.on_the_copy():
        messages(cores, 4)
        cores.settle()
    done(cores)


def test_of_three_disks_the_rows_that_two_have_to_move_come_once(cores: Cores) -> None:
    """The third knows by their nonce to which counter the second has moved them."""
    messages(cores, 4)
    cores.copy_disk()
    with cores.on_the_copy():
        messages(cores, 4)
        upload(cores)  # and the lane goes past the first start
    messages(cores, 4)
    cores.copy_disk()  # with rows of the first start that the lake has not
    with cores.on_the_copy():
        messages(cores, 4)
        cores.settle()
    done(cores)


def test_a_disk_that_goes_on_beside_its_copy_is_told_so(cores: Cores) -> None:
    messages(cores, 4)
    cores.copy_disk()
    with cores.on_the_copy():
        messages(cores, 4)
        upload(cores)
    messages(cores, 4)
    cores.send()
    cores.hub.take(list(cores.bus))
    assert {epoch.counter for _, epoch in cores.hub.foreign} == {1}, "refused, and not taken for a replay"
    done(cores)
