"""The Site's clock moves when the test moves it, and what comes due on the way happens at its time."""

from datetime import UTC, datetime, timedelta

import pytest

from rimward.testing import Site

from .cold_chain import app as cold_chain
from .workshop import Beat, Pace, app

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


async def test_time_stands_still_between_two_steps() -> None:
    async with Site(app) as site:
        assert site.now == MIDNIGHT
        await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
        await site.settle()
        assert site.now == MIDNIGHT
        await site.advance("90m")
        assert site.now == MIDNIGHT + timedelta(minutes=90)


async def test_a_site_starts_when_it_is_told_to() -> None:
    start = datetime(2027, 7, 1, 12, tzinfo=UTC)
    async with Site(app, start=start) as site:
        await site.advance("10s")
        await site.settle()
        assert site.rows(Beat) == [Beat(start + timedelta(seconds=10))]


async def test_beats_come_at_their_times_and_a_killed_nodes_beats_begin_anew() -> None:
    async with Site(app) as site:
        await site.advance("35s")
        await site.kill9()
        await site.advance("9s")
        await site.advance("1s")
        await site.settle()
        seconds = [(row.at - MIDNIGHT).total_seconds() for row in site.rows(Beat)]
        assert seconds == [10, 20, 30, 45]


async def test_the_window_of_a_device_that_falls_silent_closes_by_the_clock() -> None:
    async with Site(app) as site:
        device = site.device("d")
        for second in (0, 10, 20):
            await device.publish("lines/a/tick", {"at": MIDNIGHT + timedelta(seconds=second)}, qos=1)
        await site.advance("41s")  # the newest event was at 20 s, lateness is 2 s
        await site.settle()
        assert site.rows(Pace) == []
        await site.advance("1s")
        await site.settle()
        assert site.rows(Pace) == [Pace("a", 3)]


async def test_an_open_window_survives_the_kill_once_its_event_was_acknowledged() -> None:
    async with Site(app) as site:
        device = site.device("d")
        await device.publish("lines/a/tick", {"at": MIDNIGHT}, qos=1)
        await site.kill9()
        await device.publish("lines/a/tick", {"at": MIDNIGHT + timedelta(seconds=1)}, qos=1)
        await site.advance("2m")
        await site.settle()
        assert site.rows(Pace) == [Pace("a", 2)]


async def test_a_window_that_was_only_touched_is_on_disk_a_second_later() -> None:
    async with Site(app) as site:
        device = site.device("d")
        await device.publish("lines/a/tick", {"at": MIDNIGHT})
        await site.kill9()
        await device.publish("lines/b/tick", {"at": MIDNIGHT})
        await site.advance("1s")
        await site.kill9()
        await site.advance("2m")
        await site.settle()
        assert site.rows(Pace) == [Pace("b", 1)]


async def test_a_device_keeps_its_connection_alive_for_days() -> None:
    async with Site(cold_chain) as site:
        device = site.device("d", keep_alive="60s")
        await site.advance("48h")
        assert device.connected
        assert site.node.parts.mqtt.packets_in >= 48 * 60


async def test_a_device_whose_sign_of_life_does_not_come_is_dropped_at_one_and_a_half_keep_alives() -> None:
    async with Site(app) as site:
        device = site.device("d", keep_alive="60s")
        device.mute()
        await site.advance("89s")
        assert device.connected
        await site.advance("3s")
        assert not device.connected


@pytest.mark.parametrize("wrong", ["10", "-1s", "1 h"])
async def test_a_step_is_a_duration(wrong: str) -> None:
    async with Site(app) as site:
        with pytest.raises(ValueError, match="is not a duration"):
            await site.advance(wrong)
