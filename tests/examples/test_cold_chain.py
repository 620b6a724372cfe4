"""The cold chain as a user would test it: API.md's test, less its timers, and the rest of the app."""

from datetime import UTC, datetime, timedelta

from examples.cold_chain.app import Minute, Reading, TooWarm, Truck, app, guard

from rimward.testing import Site, effects, state

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_a_warm_truck_is_chilled_at_once_and_reported_exactly_once() -> None:
    async with Site(app, seed=7) as site:
        chiller, probe = site.inbox("trucks/7/chiller"), site.device("7")
        site.uplink.down()
        await probe.publish("trucks/7/temperature", {"celsius": 9.5, "at": NOON}, qos=1)
        assert chiller.all == [{"mode": "max"}]
        await site.advance("119s")
        await site.kill9()  # state survives
        await site.advance("72h")
        site.uplink.up()
        await site.settle()
        assert site.rows(TooWarm) == [TooWarm("7", 9.5)]
        assert site.ledger.balanced()
        assert site.ledger.discarded == 0


async def test_a_truck_that_stays_warm_is_chilled_again_and_reported_once() -> None:
    async with Site(app) as site:
        chiller, probe = site.inbox("trucks/7/chiller"), site.device("7")
        for celsius in (9.5, 9.0, 7.0, 8.5):
            await probe.publish("trucks/7/temperature", {"celsius": celsius, "at": NOON}, qos=1)
        assert len(chiller) == 3
        await site.settle()
        assert [row.celsius for row in site.rows(TooWarm)] == [9.5, 8.5]


async def test_a_minutes_mean_asks_for_service_and_is_kept() -> None:
    async with Site(app, start=NOON) as site:
        service, probe = site.inbox("trucks/7/service"), site.device("7")
        for second, celsius in ((0, 7.0), (30, 9.0)):
            at = NOON + timedelta(seconds=second)
            await probe.publish("trucks/7/temperature", {"celsius": celsius, "at": at}, qos=1)
        await site.advance("2m")
        assert service.all == [{"mean": 8.0}]
        await site.settle()
        assert site.rows(Minute) == [Minute("7", 8.0, 9.0)]
        assert site.errors == []


async def test_the_latest_reading_is_served() -> None:
    async with Site(app) as site:
        assert (await site.http.get("/trucks/7")).status == 404
        await site.device("7").publish("trucks/7/temperature", {"celsius": 4.0, "at": NOON}, qos=1)
        assert (await site.http.get("/trucks/7")).json(Truck) == Truck(4.0)


def test_a_truck_that_was_warm_before_is_not_reported_again() -> None:
    with effects(app) as fx:
        guard("7", Reading(9.5, NOON), state(Truck(9.0)))
    assert [one.payload for one in fx.published] == [{"mode": "max"}]
    assert fx.forwarded == []
