"""The readers of recordings, against the real files where they are installed and small ones by hand."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from rimward.devices import recordings
from rimward.devices.recordings import Recording, RecordingError


@pytest.fixture(scope="module")
def cases() -> list[Recording]:
    return recordings.basic_motions()


@pytest.fixture(scope="module")
def gait() -> Recording:
    return recordings.daphnet()


def magnitudes(recording: Recording, first: int) -> list[float]:
    return [sum(value * value for value in row[first : first + 3]) ** 0.5 for row in recording.samples]


def test_basic_motions_has_twenty_cases_of_each_of_four_activities(cases: list[Recording]) -> None:
    assert Counter(case.label for case in cases) == dict.fromkeys(
        ("Standing", "Running", "Walking", "Badminton"), 20
    )
    assert [case.name for case in cases] == [f"basic-{n:02}" for n in range(80)]


def test_every_basic_motions_case_is_ten_seconds_of_six_channels(cases: list[Recording]) -> None:
    assert {(case.hz, len(case.samples), len(case.channels)) for case in cases} == {(10.0, 100, 6)}
    assert {len(row) for case in cases for row in case.samples} == {6}


def test_the_first_samples_of_basic_motions_are_those_in_the_file(cases: list[Recording]) -> None:
    assert [row[0] for row in cases[0].samples[:5]] == [0.079106, 0.079106, -0.903497, 1.116125, 1.6382]
    assert cases[0].label == "Standing"
    assert cases[40].label == "Standing"  # the test part starts over


def test_a_standing_watch_measures_no_gravity_so_its_unit_is_not_g(cases: list[Recording]) -> None:
    standing = [g for case in cases if case.label == "Standing" for g in magnitudes(case, 0)]
    running = [g for case in cases if case.label == "Running" for g in magnitudes(case, 0)]
    assert sorted(standing)[len(standing) // 2] < 0.6  # m/s²: gravity would add 9.8
    assert 14 < sorted(running)[len(running) // 2] < 18  # m/s²: 1.7 g at a runner's wrist


def test_daphnet_is_110_seconds_of_nine_channels(gait: Recording) -> None:
    assert (gait.hz, len(gait.samples), len(gait.channels)) == (64.0, 7040, 9)
    assert gait.channels[:4] == ("ankle_forward", "ankle_vertical", "ankle_lateral", "thigh_forward")
    assert gait.samples[0] == (101, 1000, 297, -9, 953, 303, 330, 942, -145)
    assert gait.samples[-1] == (151, 1009, 237, 36, 944, 292, 155, 990, -87)


@pytest.mark.parametrize("site", [0, 1, 2])
def test_daphnet_measures_gravity_in_thousandths_of_g(gait: Recording, site: int) -> None:
    values = sorted(magnitudes(gait, 3 * site))
    assert 1000 < values[len(values) // 2] < 1100


def test_the_package_that_ships_the_recordings_is_not_imported() -> None:
    code = (
        "import sys; from rimward.devices import recordings; recordings.daphnet();"
        "print({'aeon', 'numpy', 'pandas'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"


def test_a_missing_package_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None: ...

    monkeypatch.setattr(recordings, "find_spec", nothing)
    with pytest.raises(RecordingError, match=r"not installed: run '\./dev demo'"):
        recordings.data_folder()


def test_a_missing_file_is_said_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"S06R02E0\.csv .* installs that version"):
        recordings.daphnet(tmp_path)


HEADER = "timestamp,a,b,c,d,e,f,g,h,i,is_anomaly\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "header"),
        ("time,a,b\n1,2,3\n", "header"),
        (HEADER + "1970-01-01 00:00:00.000,1,2,3,4,5,6,7,8,0\n", ":2: 8 values, 9 are expected"),
        (HEADER + "1970-01-01 00:00:00.000,1,2,3,4,5,x,7,8,9,0\n", ":2: could not convert"),
        (
            HEADER
            + "1970-01-01 00:00:00.000,1,2,3,4,5,6,7,8,9,0\n1970-01-01 00:00:00.100,1,2,3,4,5,6,7,8,9,0\n",
            ":3: .* 64 Hz",
        ),
    ],
)
def test_a_broken_csv_file_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        recordings.read_daphnet(text, "x.csv")


TS = "# by hand\n@dimensions 2\n@seriesLength 3\n@classLabel true up down\n@data\n"


def test_a_ts_file_reads_by_time_and_then_by_channel() -> None:
    assert list(recordings.read_ts(TS + "1,2,3:4,5,6:up\n", "x.ts")) == [(((1, 4), (2, 5), (3, 6)), "up")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("@dimensions 2\n", "no @data"),
        ("@classLabel false\n@data\n", "no class labels"),
        (TS + "1,2,3:up\n", ":6: 1 dimensions"),
        (TS + "1,2,3:4,5,6:sideways\n", "label 'sideways'"),
        (TS + "1,2,3:4,5,6:up\n1,2:4,5,6:up\n", ":7: 2 values, 3 are expected"),
    ],
)
def test_a_broken_ts_file_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        list(recordings.read_ts(text, "x.ts"))
