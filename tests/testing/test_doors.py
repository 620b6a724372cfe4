"""Commands, settings, state that expires and async cloud functions, in a Site."""

from typing import Any

import pytest

from rimward import NotConnected
from rimward.testing import Ack, Site

from .doors import Entered, Settings, app, logged


@pytest.mark.parametrize("protocol", ["mqtt3", "mqtt5"])
async def test_a_device_takes_a_command_and_its_acknowledgement_comes_back(protocol: Any) -> None:
    taken: list[Any] = []

    def open_door(payload: Any) -> dict[str, int]:
        taken.append(payload)
        return {"seconds": 5}

    async with Site(app) as site:
        reader = site.device("north", protocol=protocol)
        reader.on_command("open", open_door)
        assert await reader.publish("doors/north/card", {"number": "1234"}, qos=1) == Ack(0)
        assert taken == [{"card": "1234"}]
        await site.settle()
        assert site.rows(Entered) == [Entered("north", "1234")]


async def test_a_device_that_takes_no_commands_is_not_connected_to_them() -> None:
    async with Site(app) as site:
        ack = await site.device("north").publish("doors/north/card", {"number": "1"}, qos=1)
        assert ack.code == 0x83
        (error,) = site.errors
        assert isinstance(error, NotConnected)


async def test_an_app_gets_the_settings_that_the_site_was_given_or_their_defaults() -> None:
    logged.clear()
    async with Site(app) as plain, Site(app, config=Settings("moin")) as other:
        assert (await plain.http.get("/greeting")).text == "hello"
        assert (await other.http.get("/greeting")).text == "moin"
        door = other.device("south")
        door.on_command("open", lambda _: {"seconds": 1})
        await door.publish("doors/south/card", {"number": "7"}, qos=1)
        assert (await other.http.get("/greeting")).text == "moin south"
        await other.settle()
        assert logged == [("moin", "7")]


async def test_a_cell_is_forgotten_when_its_time_is_over() -> None:
    async with Site(app) as site:
        door = site.device("south")
        door.on_command("open", lambda _: {"seconds": 1})
        await door.publish("doors/south/card", {"number": "7"}, qos=1)
        await site.advance("59m")
        assert (await site.http.get("/greeting")).text == "hello south"
        await site.advance("2m")
        await site.kill9()
        assert (await site.http.get("/greeting")).text == "hello"


async def test_a_fact_with_a_table_name_of_its_own_has_its_rows_and_its_ledger() -> None:
    async with Site(app) as site:
        door = site.device("south")
        door.on_command("open", lambda _: {"seconds": 1})
        await door.publish("doors/south/card", {"number": "7"}, qos=1)
        await site.settle()
        assert site.rows(Entered) == [Entered("south", "7")]
        assert site.ledger.of(Entered).stored == 1
        assert (site.folder / "lake" / "entries").exists()
