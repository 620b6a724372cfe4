"""The badge door: the lock is commanded, and what came of it is replied and kept."""

from typing import Any, Literal

import pytest
from examples.badge_door.app import Entry, app

from rimward.devices.errors import Refused
from rimward.testing import Site


@pytest.mark.parametrize("protocol", ["mqtt3", "mqtt5"])
@pytest.mark.parametrize(("answer", "outcome"), [({"opened": True}, "opened"), ({"opened": False}, "stuck")])
async def test_the_lock_is_commanded_and_its_answer_is_kept(
    protocol: Literal["mqtt3", "mqtt5"], answer: dict[str, bool], outcome: str
) -> None:
    commands: list[Any] = []

    def open_lock(payload: Any) -> dict[str, bool]:
        commands.append(payload)
        return answer

    async with Site(app) as site:
        door = site.device("north", protocol=protocol)
        door.on_command("open", open_lock)
        assert (await door.publish("doors/north/badge", {"holder": "ada"}, qos=1)).ok
        assert commands == [{"seconds": 5}]
        await site.settle()
        assert [(row.holder, row.outcome) for row in site.rows(Entry)] == [("ada", outcome)]


async def test_an_mqtt5_door_may_ask_for_the_outcome_as_the_reply() -> None:
    async with Site(app) as site:
        door = site.device("north")
        door.on_command("open", lambda _: {"opened": True})
        assert (await door.request("doors/north/badge", {"holder": "grace"})).payload == b"opened"


async def test_a_lock_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.badge_door.app.PATIENCE", "10ms")
    async with Site(app) as site:
        door = site.device("north")
        unanswered = door.subscribe("devices/north/commands/#")
        assert (await door.request("doors/north/badge", {"holder": "ada"})).payload == b"no answer"
        assert unanswered.all == [{"seconds": 5}]


async def test_a_door_that_takes_no_commands_is_not_connected() -> None:
    async with Site(app) as site:
        answer = await site.device("north").request("doors/north/badge", {"holder": "ada"})
        assert answer.payload == b"not connected"


@pytest.mark.parametrize(("door", "holder"), [("north", "mallory"), ("south", "ada")])
async def test_neither_a_stranger_nor_another_door_gets_in(door: str, holder: str) -> None:
    async with Site(app) as site:
        north = site.device("north")
        north.on_command("open", lambda _: {"opened": True})
        with pytest.raises(Refused) as refused:
            await north.request(f"doors/{door}/badge", {"holder": holder})
        assert refused.value.reason == 0x87  # not authorized
        await site.settle()
        assert site.rows(Entry) == []
