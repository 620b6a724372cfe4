"""A disk that a fault makes bad: what the outbox says of it, and that it is well again afterwards."""

import sqlite3
from pathlib import Path

import pytest

from rimward.edge.outbox.faulty import FaultyDisk
from rimward.observe.faults import Fault, Faults, inject, take_back

FAR = 1 << 62


def disk(folder: Path, slept: list[float]) -> FaultyDisk:
    ticks = iter(range(1_000))
    return FaultyDisk(Faults(folder, monotonic=lambda: float(next(ticks))), slept.append)


def test_a_slow_disk_delays_each_commit_and_no_more(tmp_path: Path) -> None:
    slept: list[float] = []
    one = disk(tmp_path, slept)
    one.strike()
    inject(tmp_path, "disk", Fault(0, FAR, "slow", delay=0.25))
    one.strike()
    assert (slept, one.bears()) == ([0.25], True)


@pytest.mark.parametrize(("mode", "code"), [("full", sqlite3.SQLITE_FULL), ("error", sqlite3.SQLITE_IOERR)])
def test_a_bad_disk_fails_as_sqlite_does_until_the_fault_is_over(
    tmp_path: Path, mode: str, code: int
) -> None:
    one = disk(tmp_path, [])
    inject(tmp_path, "disk", Fault(0, FAR, mode))
    with pytest.raises(sqlite3.OperationalError, match="by rimward fault") as failed:
        one.strike()
    assert (failed.value.sqlite_errorcode, one.bears()) == (code, False)
    take_back(tmp_path, "disk")
    one.strike()
    assert one.bears()
