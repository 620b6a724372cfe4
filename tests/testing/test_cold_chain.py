"""API.md's test as written, less its timers: a truck gets warm while the link is down and the node dies."""

from datetime import UTC, datetime

from rimward.testing import Site

from .cold_chain import TooWarm, Truck, app

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_a_warm_truck_is_chilled_at_once_and_reported_exactly_once() -> None:
    async with Site(app, seed=7) as site:
        chiller, probe = site.inbox("trucks/7/chiller"), site.device("7")
        site.uplink.down()
        ack = await probe.publish("trucks/7/temperature", {"celsius": 9.5, "at": NOON}, qos=1)
        assert ack.code == 0
        assert chiller.all == [{"mode": "max"}]
        assert site.ledger.waiting == 1
        await site.advance("119s")
        await site.kill9()
        await site.advance("72h")
        site.uplink.up()
        await site.settle()
        assert site.rows(TooWarm) == [TooWarm("7", 9.5)]
        assert site.ledger.balanced()
        assert site.ledger.discarded == 0
        assert (await site.http.get("/trucks/7")).json(Truck) == Truck(9.5, 1)
