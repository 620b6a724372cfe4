"""The open door: complained about every ten seconds until it is shut, and reported then."""

from datetime import UTC, datetime

from examples.open_door.app import OpenTooLong, app

from rimward.testing import Site

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def test_a_door_that_stays_open_is_complained_about_until_it_is_shut() -> None:
    async with Site(app, start=NOON) as site:
        buzzer, door = site.inbox("doors/cellar/buzzer"), site.device("cellar")
        await door.publish("doors/cellar", {"type": "opened"}, qos=1)
        await site.advance("2m")
        assert buzzer.all == []
        await site.advance("30s")
        assert buzzer.all == [{"since": "2026-01-01T12:00:00Z"}] * 3
        await door.publish("doors/cellar", {"type": "closed"}, qos=1)
        await site.advance("5m")
        assert len(buzzer) == 3
        await site.settle()
        assert site.rows(OpenTooLong) == [OpenTooLong("cellar", NOON, 150.0)]


async def test_a_door_that_is_shut_in_time_leaves_nothing() -> None:
    async with Site(app) as site:
        buzzer, door = site.inbox("doors/+/buzzer"), site.device("cellar")
        for change in ("opened", "closed"):
            await door.publish("doors/cellar", {"type": change}, qos=1)
            await site.advance("1m")
        await site.settle()
        assert (buzzer.all, site.rows(OpenTooLong)) == ([], [])


async def test_a_door_that_says_twice_that_it_is_open_was_opened_the_first_time() -> None:
    async with Site(app, start=NOON) as site:
        door = site.device("cellar")
        for change in ("opened", "opened", "closed"):
            await door.publish("doors/cellar", {"type": change}, qos=1)
            await site.advance("90s")
        await site.settle()
        assert [row.seconds for row in site.rows(OpenTooLong)] == [180.0]


async def test_a_door_is_still_open_when_the_node_comes_back() -> None:
    async with Site(app) as site:
        await site.device("cellar").publish("doors/cellar", {"type": "opened"}, qos=1)
        await site.kill9()
        assert (await site.http.get("/doors")).json(list[str]) == ["cellar"]
        buzzer = site.inbox("doors/cellar/buzzer")
        await site.advance("3m")
        assert buzzer.all
