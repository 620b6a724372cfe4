"""Streams from a device's message to a row, through kills of the node."""

from datetime import UTC, datetime, timedelta

import pytest

from rimward.testing import Device, Site

from .trucks import Busy, Crossing, LeftOpen, Missed, Step, Trip, Warmed, app

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def tell(device: Device, what: str, seconds: float, **values: object) -> None:
    at = NOON + timedelta(seconds=seconds)
    await device.publish(f"trucks/7/{what}", {"at": at, **values}, qos=1)


@pytest.mark.parametrize("kills", [False, True])
async def test_kills_between_any_two_events_are_invisible_in_what_streams_give(*, kills: bool) -> None:
    async with Site(app, start=NOON, seed=3) as site:
        events: list[tuple[float, str, dict[str, object]]] = [
            (0, "position", {"lon": 12.9, "lat": 52.1}),
            (10, "temperature", {"celsius": 4.0}),
            (20, "temperature", {"celsius": 4.5}),
            (30, "door", {"open": True}),
            (31, "position", {"lon": 13.1, "lat": 52.1}),
            (40, "temperature", {"celsius": 4.1}),
            (50, "temperature", {"celsius": 4.2}),
            (70, "door", {"open": False}),
            (80, "temperature", {"celsius": 12.0}),
            (100, "door", {"open": True}),
        ]
        for seconds, what, values in events:
            now = (site.now - NOON).total_seconds()
            if seconds > now:
                await site.advance(timedelta(seconds=seconds - now))
            device = site.device("7")
            await tell(device, what, seconds, **values)
            if kills:
                await site.kill9()
        await site.advance("20m")
        await tell(site.device("7"), "position", 1300, lon=13.3, lat=52.1)
        await tell(site.device("7"), "temperature", 45, celsius=1.0)
        await site.settle()
        assert site.rows(Step) == [Step(4.0, "7"), Step(12.0, "7"), Step(1.0, "7")]
        assert [round(row.p99, 1) for row in site.rows(Busy)] == [4.5, 12.0, 12.0]
        assert site.rows(Missed) == [Missed("7", 1.0)]
        assert site.rows(Trip) == [Trip(5, "7")]
        assert site.rows(Crossing) == [Crossing("7", "depot", what) for what in ("enter", "dwell", "exit")]
        assert site.rows(LeftOpen) == [LeftOpen("7")]
        assert site.rows(Warmed) == [Warmed("chiller", "7")]
        assert site.ledger.balanced()
