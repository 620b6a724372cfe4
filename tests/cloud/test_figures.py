"""What ingest says of itself: slow commits, rows that are missing for a while, a share without a lease."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rimward.cloud.ingest.figures import (
    ENOUGH,
    LASTING,
    WINDOW,
    IngestFigures,
    Telling,
    Watched,
    path_of,
    read_figures,
)

MS = 1_000_000
Gaps = Callable[[], list[tuple[str, str]]]


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def telling(
    folder: Path, clock: Clock, gaps: Callable[[], list[tuple[str, str]]], *, lease: bool = True
) -> Telling:
    watched = Watched(gaps, lambda: ["n9"], lambda: 2, lambda: lease)
    return Telling(folder, "ingest", watched, clock, clock)


def test_a_p99_beyond_half_a_second_is_an_alarm_until_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    one = telling(tmp_path, clock, list)
    for _ in range(ENOUGH - 1):
        one.commits.record(600 * MS)
    assert not one.look().slow, "a few commits make no p99"
    one.commits.record(600 * MS)
    assert [one.look().slow, one.look().slow] == [True, True]
    clock.now += 2 * WINDOW
    for _ in range(ENOUGH):
        one.commits.record(400 * MS)
    found = one.look()
    assert (found.slow, found.commits) == (False, ENOUGH)
    assert found.commit_p99_ms == pytest.approx(400, rel=0.04)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["commits are slow"], "once"


def test_one_slow_commit_among_a_hundred_is_no_alarm(tmp_path: Path) -> None:
    one = telling(tmp_path, Clock(), list)
    for took in (*[20 * MS] * 199, 900 * MS):
        one.commits.record(took)
    assert not one.look().slow


def test_what_lasts_is_told_and_what_passes_is_not(tmp_path: Path) -> None:
    clock, gaps = Clock(), [("n1", "warm"), ("n2", "cold")]
    one = telling(tmp_path, clock, lambda: gaps, lease=False)
    first = one.look()
    assert (first.gaps, first.without_lease) == ((), False)
    clock.now += LASTING
    gaps.remove(("n2", "cold"))
    later = one.look()
    assert (later.gaps, later.without_lease) == (("n1/warm",), True)
    assert (later.quarantined, later.leases_lost) == (("n9",), 2)
    gaps.clear()
    assert one.look().gaps == ()


def test_figures_are_read_where_they_are_and_whole(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    one = telling(tmp_path, Clock(), list)
    one.write(one.look())
    path_of(tmp_path, "ingest-2").write_text("{")
    found = read_figures(tmp_path, ["node", "ingest", "ingest-2", "ingest-3"])
    assert found == (IngestFigures("ingest", 0, quarantined=("n9",), leases_lost=2),)
