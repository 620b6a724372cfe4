"""Faults on purpose: who reads the file hears of them while they are on, and not a moment longer."""

import json
from pathlib import Path

from rimward.observe.faults import FILE, LOOK, Fault, Faults, inject, take_back

NOW = 1_795_000_000_000_000_000
SECOND = 1_000_000_000


class Times:
    """Two clocks to be turned."""

    def __init__(self) -> None:
        self.passed = 0.0

    def wall(self) -> int:
        return NOW + round(self.passed * 1e9)

    def monotonic(self) -> float:
        return self.passed


def reader(folder: Path, times: Times) -> Faults:
    return Faults(folder, times.wall, times.monotonic)


def test_a_fault_is_on_from_its_first_moment_to_its_last(tmp_path: Path) -> None:
    times = Times()
    faults = reader(tmp_path, times)
    assert faults.active() == {}
    inject(tmp_path, "disk", Fault(NOW + SECOND, NOW + 3 * SECOND, "slow", delay=0.5))
    for passed, on in ((0.5, False), (1.0, True), (2.9, True), (3.0, False)):
        times.passed = passed
        assert ("disk" in faults.active()) == on, passed
    assert faults.get("uplink") is None


def test_the_file_is_looked_at_a_few_times_a_second_however_often_it_is_asked(tmp_path: Path) -> None:
    times = Times()
    faults = reader(tmp_path, times)
    assert faults.get("uplink") is None
    inject(tmp_path, "uplink", Fault(NOW, NOW + SECOND))
    times.passed = LOOK / 2
    assert faults.get("uplink") is None
    times.passed = LOOK
    assert faults.get("uplink") is not None


def test_a_clock_that_was_set_back_ends_a_fault(tmp_path: Path) -> None:
    times = Times()
    inject(tmp_path, "uplink", Fault(NOW, NOW + SECOND))
    times.passed = -3600.0
    assert reader(tmp_path, times).get("uplink") is None


def test_faults_stand_beside_each_other_and_each_can_be_taken_back(tmp_path: Path) -> None:
    far = 1 << 62
    inject(tmp_path, "uplink", Fault(0, far))
    inject(tmp_path, "clock", Fault(0, far, "+1y", offset=5))
    times = Times()
    assert set(reader(tmp_path, times).active()) == {"uplink", "clock"}
    take_back(tmp_path, "uplink")
    assert set(reader(tmp_path, times).active()) == {"clock"}


def test_what_is_over_leaves_the_file_with_the_next_fault(tmp_path: Path) -> None:
    inject(tmp_path, "uplink", Fault(NOW, NOW + 1))
    inject(tmp_path, "clock", Fault(NOW + 2, NOW + 3))
    assert set(json.loads((tmp_path / FILE).read_bytes())) == {"clock"}


def test_a_file_that_makes_no_sense_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir()
    for nonsense in (b"{", b"[]", b'{"uplink": 3}', b"\xff"):
        (tmp_path / FILE).write_bytes(nonsense)
        assert reader(tmp_path, Times()).active() == {}
