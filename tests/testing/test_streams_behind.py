"""Streams that take what other streams give, or what came too late for them, through kills of the node."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rimward.testing import Site

from .fleet import Hour, Minute, Missed, Opened, Warm, app

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVENTS: list[tuple[float, str, float]] = [  # second at which it is sent, truck, °C; its time is the second's
    (0, "1", 4.0), (10, "2", 9.0), (30, "1", 6.0), (70, "1", 10.0), (80, "2", 9.0), (140, "1", 5.0),
]  # fmt: skip


async def run(*, kills: bool) -> dict[str, list[Any]]:
    async with Site(app, start=NOON, seed=3) as site:

        async def tell(truck: str, what: str, second: float, **values: object) -> None:
            at = NOON + timedelta(seconds=second)
            ack = await site.device(truck).publish(f"trucks/{truck}/{what}", {"at": at, **values}, qos=1)
            assert ack.ok
            if kills:
                await site.kill9()

        for second, truck, celsius in EVENTS:
            if second > (now := (site.now - NOON).total_seconds()):
                await site.advance(timedelta(seconds=second - now))
            await tell(truck, "temperature", second, region="north", celsius=celsius)
        await tell("1", "temperature", 5, region="north", celsius=1.0)  # its minute is over
        await tell("1", "temperature", 6, region="north", celsius=1.0)
        await tell("1", "door", 145)
        await site.advance("2h")
        await site.settle()
        assert site.errors == []
        assert site.ledger.balanced()
        return {fact.__name__: site.rows(fact) for fact in (Minute, Hour, Missed, Opened, Warm)}


@pytest.mark.parametrize("kills", [False, True])
async def test_kills_between_any_two_events_are_invisible_in_what_streams_behind_streams_give(
    *, kills: bool
) -> None:
    rows = await run(kills=kills)
    assert sorted(map(repr, rows["Minute"])) == sorted(
        repr(Minute(truck, "north", mean))
        for truck, mean in (("1", 5.0), ("1", 10.0), ("1", 5.0), ("2", 9.0), ("2", 9.0))
    )
    assert rows["Hour"] == [Hour("north", 10.0, 5)], "of both trucks: keyed anew, by a field of the values"
    assert rows["Missed"] == [Missed("1", 2)]
    assert rows["Opened"] == [Opened(10.0, "1")], (
        "a topic waits for the stream beside it, whose values come later"
    )
    assert sorted((row.truck, row.mean) for row in rows["Warm"]) == [
        ("1", 10.0), ("2", 9.0), ("2", 9.0),
    ]  # fmt: skip


async def test_what_two_keys_give_at_one_moment_to_a_third_has_an_identity_each() -> None:
    async with Site(app, start=NOON) as site:
        for truck in "12":
            body = {"at": NOON, "region": "north", "celsius": 9.0}
            await site.device(truck).publish(f"trucks/{truck}/temperature", body, qos=1)
        await site.advance("2m")
        await site.settle()
        events = await asyncio.to_thread(site.lake.sql, "select distinct _event from warm")
        assert events.num_rows == 2
