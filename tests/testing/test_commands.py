"""A cloud function commands a device, the device answers, and a function sees what came of it, in a Site."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from rimward import App, CommandResult, mqtt
from rimward.edge.commands.hand import Hand
from rimward.testing import Site

app = App("pumps", compat="2026-11-01")
OPTIONS: dict[str, Any] = {}


class Reading(Struct):
    celsius: float


@app.fact
class TooWarm(Struct):
    truck: str
    celsius: float


@app.fact
class Chilled(Struct):
    device: str
    outcome: str
    reply: str


@app.edge(mqtt("trucks/{truck}"))
def guard(truck: str, reading: Reading) -> None:
    app.forward(TooWarm(truck, reading.celsius))


@app.cloud(TooWarm)
def chill(alarm: TooWarm) -> None:
    app.command(f"chiller-{alarm.truck}", "mode", {"celsius": alarm.celsius}, **OPTIONS)


@app.cloud(CommandResult)
def note(result: CommandResult) -> None:
    app.forward(Chilled(result.device, result.outcome, (result.reply or b"").decode()))


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    OPTIONS.clear()
    yield
    OPTIONS.clear()


class Chiller:
    """A device that does what it is told, and counts it."""

    def __init__(self, site: Site, protocol: Any = "mqtt5") -> None:
        self.taken: list[Any] = []
        self.device = site.device("chiller-7", protocol=protocol)
        self.device.on_command("mode", self._take)

    def _take(self, payload: Any) -> dict[str, str]:
        self.taken.append(payload)
        return {"mode": "max"}


async def warm(site: Site, celsius: float = 9.5) -> None:
    await site.device("probe").publish("trucks/7", {"celsius": celsius}, qos=1)
    await site.settle()


@pytest.mark.parametrize("protocol", ["mqtt3", "mqtt5"])
async def test_a_command_goes_to_its_device_and_its_reply_is_seen_in_the_cloud(protocol: Any) -> None:
    async with Site(app) as site:
        chiller = Chiller(site, protocol)
        await warm(site)
        assert chiller.taken == [{"celsius": 9.5}]
        assert site.rows(Chilled) == [Chilled("chiller-7", "ok", '{"mode":"max"}')]
        (command,) = site.commands
        assert (command.node, command.outcome, command.taken) == ("node-1", "ok", True)
        assert site.ledger.balanced()


async def test_a_device_that_comes_later_gets_its_command_while_that_is_valid() -> None:
    async with Site(app) as site:
        await warm(site)
        assert site.rows(Chilled) == []
        await site.advance("23h")
        chiller = Chiller(site)
        await site.settle()
        assert chiller.taken == [{"celsius": 9.5}]
        assert [command.outcome for command in site.commands] == ["ok"]


async def test_a_command_whose_device_does_not_come_is_told_as_expired_and_says_why() -> None:
    async with Site(app) as site:
        await warm(site)
        await site.advance("25h")
        await site.settle()
        assert [(one.outcome, one.detail) for one in site.commands] == [("expired", "it is not connected")]
        chiller = Chiller(site)
        await site.advance("1h")
        await site.settle()
        assert chiller.taken == []


async def test_a_node_that_was_offline_for_a_day_gets_what_is_still_valid() -> None:
    OPTIONS["expires"] = "30h"
    async with Site(app) as site:
        chiller = Chiller(site)
        site.uplink.down()
        await site.device("probe").publish("trucks/7", {"celsius": 9.0}, qos=1)
        site.uplink.up()
        await site.settle()
        assert len(chiller.taken) == 1
        OPTIONS["key"] = "once more"
        await warm(site, 8.5)
        await warm(site, 8.6)
        assert chiller.taken == [{"celsius": 9.0}, {"celsius": 8.5}], "two commands of one key are one"


async def test_a_command_that_the_device_had_when_the_node_died_is_not_sent_again() -> None:
    async with Site(app) as site:
        silent = site.device("chiller-7").subscribe("devices/chiller-7/commands/#")
        await warm(site)
        assert silent.all == [{"celsius": 9.5}]
        await site.kill9()
        await site.settle()
        await site.advance("1m")
        await site.settle()
        assert silent.all == [{"celsius": 9.5}]
        assert [row.outcome for row in site.rows(Chilled)] == ["unknown"]


async def test_one_that_may_be_carried_out_twice_is_sent_again_after_the_node_died() -> None:
    OPTIONS["idempotent"] = True
    async with Site(app) as site:
        silent = site.device("chiller-7").subscribe("devices/chiller-7/commands/#")
        await warm(site)
        await site.kill9()
        await site.settle()
        assert silent.all == [{"celsius": 9.5}] * 2
        await site.advance("11s")
        await site.settle()
        assert [row.outcome for row in site.rows(Chilled)] == ["timeout"]


async def test_a_link_that_breaks_doubles_no_command_and_loses_none() -> None:
    async with Site(app, seed=3) as site:
        chiller = Chiller(site)
        site.uplink.flaky(0.5)
        for celsius in range(10):
            await warm(site, float(celsius))
        site.uplink.flaky(0.0)
        for _ in range(3):
            await site.settle()
        assert chiller.taken == [{"celsius": float(celsius)} for celsius in range(10)]
        assert [row.outcome for row in site.rows(Chilled)] == ["ok"] * 10
        assert site.uplink.breaks > 0


def _nobody_knows(_: Hand) -> None:
    """Return no time."""


class Killed(BaseException):
    """The node's process was killed just now."""


CRASHES = [
    ("commands.taken", False, 0, "unknown"),  # nobody can know that it had not left
    ("commands.executed", False, 1, "unknown"),
    ("commands.reported", False, 1, "ok"),
    ("commands.taken", True, 1, "ok"),
    ("commands.executed", True, 2, "ok"),
    ("commands.reported", True, 1, "ok"),
]


@pytest.mark.parametrize(("place", "idempotent", "times", "outcome"), CRASHES)
async def test_a_node_killed_at_any_step_carries_a_command_out_at_most_once_unless_twice_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, *, place: str, idempotent: bool, times: int, outcome: str
) -> None:
    OPTIONS["idempotent"] = idempotent
    async with Site(app) as site:
        chiller = Chiller(site)
        deaths = 0

        def dies(name: str) -> None:
            nonlocal deaths
            if name == place and not deaths:
                deaths += 1
                site.node.kill()
                raise Killed

        monkeypatch.setattr("rimward.edge.commands.executor.reach", dies)
        with pytest.raises(Killed):
            await warm(site)
        await site.settle()
        await site.settle()
        assert deaths == 1
        assert len(chiller.taken) == times
        assert [row.outcome for row in site.rows(Chilled)] == [outcome]
        assert site.ledger.balanced()


async def test_until_somebody_knows_the_time_only_what_may_be_done_twice_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Site(app) as site:
        chiller = Chiller(site)
        with monkeypatch.context() as patch:
            patch.setattr(Hand, "hub_time", _nobody_knows)
            await warm(site, 9.0)
            OPTIONS["idempotent"] = True
            await warm(site, 9.1)
            assert chiller.taken == []  # behind the other: a device gets its commands in their order
            await site.advance("1m")
            assert chiller.taken == []
        await site.settle()
        assert chiller.taken == [{"celsius": 9.0}, {"celsius": 9.1}]
