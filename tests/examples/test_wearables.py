"""The wearables at their real pace, 64 samples a second, in a Site."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from examples.wearables.app import Impact, Motion, Sample, app, summarise

from rimward.testing import Device, Site

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HERTZ = 64


def second(number: int, y: float = 1.0) -> list[Sample]:
    """Return one second of standing still."""
    start = NOON + timedelta(seconds=number)
    return [Sample(start + timedelta(seconds=n / HERTZ), 0.0, y, 0.0) for n in range(HERTZ)]


async def send(watch: Device, samples: list[Sample]) -> None:
    for sample in samples:
        await watch.publish("wearers/ada/motion", sample, qos=1)


async def test_a_stumble_buzzes_the_watch_at_once_and_is_a_row_when_the_link_is_back() -> None:
    async with Site(app, start=NOON) as site:
        watch = site.device("watch")
        buzz = watch.subscribe("wearers/ada/buzz")
        site.uplink.down()
        await send(watch, [Sample(NOON, 0.0, 3.0, 0.0)])
        assert buzz.all == [{"at": "2026-01-01T12:00:00Z", "g": 3.0}]
        site.uplink.up()
        await site.settle()
        assert site.rows(Impact) == [Impact("ada", 3.0)]


async def test_each_second_of_64_samples_is_one_row_and_the_report_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # reports are written where the cloud runs
    async with Site(app, start=NOON) as site:
        for number in range(3):
            await send(site.device("watch"), second(number))
        await site.advance("5s")
        await site.settle()
        assert site.rows(Motion) == [Motion(0.0, 0, "y", "ada")] * 3
        assert (tmp_path / "report-ada.txt").read_text() == "ada: {'seconds': 3, 'steps': 0}\n"
        assert site.errors == []


def test_steps_are_the_times_that_the_acceleration_rises_through_its_mean() -> None:
    walk = [Sample(NOON, 0.0, y, 0.0) for y in (0.8, 1.2, 0.8, 1.2)]
    assert summarise(walk).cadence == 2
