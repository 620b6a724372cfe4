"""Faults as a test makes them: the node is killed, the link breaks, the outbox is full."""

import asyncio

import pytest

from rimward.testing import Ack, Site

from . import workshop
from .cold_chain import TooWarm
from .cold_chain import app as cold_chain
from .workshop import Weighed, app


async def test_what_was_acknowledged_survives_the_kill_and_what_was_not_durable_does_not() -> None:
    async with Site(app) as site:
        device = site.device("d")
        await device.publish("lines/a/weigh", {"weight": 1}, qos=1)
        epoch = site.node.outbox.epoch
        await site.kill9()
        assert site.node.outbox.epoch.counter == epoch.counter + 1
        assert device.connected
        assert (await site.http.get("/lines/a")).json() == {"count": 1, "fleeting": 0}
        await device.publish("lines/a/weigh", {"weight": 2}, qos=1)
        await site.settle()
        assert site.rows(Weighed) == [Weighed("a", 1.0), Weighed("a", 2.0)]
        assert sorted(row["_epoch"] for row in site.lake.table(Weighed).to_pylist()) == [1, 2]
        assert site.ledger.balanced()


async def test_a_kill_before_the_commit_leaves_nothing_and_the_resend_makes_the_one_row() -> None:
    async with Site(app) as site:
        site.kill9_at("before-commit")
        ack = await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
        assert ack == Ack(0, sent=2)
        await site.settle()
        assert site.rows(Weighed) == [Weighed("a", 1.0)]
        assert (await site.http.get("/lines/a")).json() == {"count": 1, "fleeting": 1}


async def test_a_kill_between_commit_and_acknowledgement_makes_a_second_event_of_the_resend() -> None:
    async with Site(app) as site:
        site.kill9_at("after-commit")
        ack = await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
        assert ack == Ack(0, sent=2)
        await site.settle()
        assert site.rows(Weighed) == [Weighed("a", 1.0), Weighed("a", 1.0)]
        assert (await site.http.get("/lines/a")).json() == {"count": 2, "fleeting": 1}
        assert site.ledger.balanced()


async def test_only_the_next_commit_is_died_at() -> None:
    async with Site(app) as site:
        device = site.device("d")
        site.kill9_at("after-commit")
        await device.publish("lines/a/weigh", {"weight": 1}, qos=1)
        assert (await device.publish("lines/a/weigh", {"weight": 1}, qos=1)).sent == 1
        with pytest.raises(ValueError, match="is not before-commit or after-commit"):
            site.kill9_at("commit")


async def test_a_kill_ends_the_async_functions_and_their_message_comes_again() -> None:
    workshop.gates.clear()
    async with Site(app) as site:
        done = site.inbox("lines/a/done")
        publishing = asyncio.create_task(site.device("d").publish("lines/a/wait", qos=1))
        await asyncio.sleep(0)
        (task,) = site.node.tasks
        await site.kill9()
        assert task.cancelled()
        assert len(site.node.tasks) == 1
        workshop.gates["a"].set()
        assert await publishing == Ack(0, sent=2)
        assert done.all == ["waited"]
        assert site.dead_letters == []


async def test_a_message_at_qos_0_is_not_sent_again() -> None:
    async with Site(app) as site:
        site.kill9_at("before-commit")
        await site.device("d").publish("lines/a/weigh", {"weight": 1})
        await site.settle()
        assert site.rows(Weighed) == []
        assert site.node.outbox.epoch.counter == 2


async def test_rows_wait_while_the_uplink_is_down_and_arrive_in_order_when_it_is_up() -> None:
    async with Site(app) as site:
        device = site.device("d")
        site.uplink.down()
        for weight in range(40):
            await device.publish("lines/a/weigh", {"weight": weight}, qos=1)
        await site.settle()
        assert site.rows(Weighed) == []
        assert (site.ledger.waiting, site.ledger.stored) == (40, 0)
        site.uplink.up()
        await site.settle()
        assert [row.weight for row in site.rows(Weighed)] == list(range(40))
        assert (site.ledger.waiting, site.ledger.stored) == (0, 40)


@pytest.mark.parametrize("seed", range(4))
async def test_a_link_that_breaks_on_both_ways_doubles_and_loses_nothing(seed: int) -> None:
    async with Site(app, seed=seed) as site:
        site.uplink.flaky(0.6)
        device = site.device("d")
        for weight in range(12):
            await device.publish("lines/a/weigh", {"weight": weight}, qos=1)
            if weight % 3 == 0:
                await site.settle()
            if weight == 7:
                await site.kill9()
        await site.settle()
        assert site.uplink.breaks > 0
        assert [row.weight for row in site.rows(Weighed)] == list(range(12))
        assert site.ledger.balanced()
        assert site.ledger.waiting == 0


async def test_a_link_can_be_flaky_but_not_dead_by_chance() -> None:
    async with Site(app) as site:
        for spoil in (site.uplink.flaky, site.uplink.lose):
            with pytest.raises(ValueError, match=r"from 0 to 0\.9"):
                spoil(1.0)


async def test_a_full_outbox_refuses_the_whole_message_in_the_devices_words() -> None:
    async with Site(app, outbox_bytes=400) as site:
        modern, old = site.device("m"), site.device("o", protocol="mqtt3")
        site.uplink.down()
        acks = [await modern.publish("lines/a/weigh", {"weight": 1}, qos=1) for _ in range(20)]
        taken = [ack for ack in acks if ack.ok]
        assert 0 < len(taken) < 20
        assert acks[-1].code == 0x97
        assert "the limit is 400" in acks[-1].reason
        assert (await old.publish("lines/a/weigh", {"weight": 1}, qos=1)).code is None
        assert not old.connected
        assert site.ledger.forwarded == len(taken)
        assert (await site.http.get("/lines/a")).json() == {"count": len(taken), "fleeting": len(taken)}


async def test_committed_rows_leave_the_outbox_when_they_have_been_kept_long_enough() -> None:
    async with Site(cold_chain) as site:
        device = site.device("d")
        for celsius in range(9, 14):
            await device.publish("trucks/7/temperature", {"celsius": celsius, "at": site.now}, qos=1)
        await site.settle()
        held = site.node.outbox.core.held
        await site.advance("25h")  # longer than keep_after_commit
        await device.publish("trucks/7/temperature", {"celsius": 14.0, "at": site.now}, qos=1)
        await site.settle()
        assert 0 < site.node.outbox.core.held < held
        assert [row.celsius for row in site.rows(TooWarm)] == [9, 10, 11, 12, 13, 14]
        assert site.ledger.balanced()


async def test_what_a_slow_link_carries_arrives_when_its_time_has_passed_and_the_answer_as_late() -> None:
    async with Site(app) as site:
        site.uplink.delay("2s")
        await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
        await site.settle()
        assert site.rows(Weighed) == []
        await site.advance("1999ms")
        assert site.rows(Weighed) == []
        await site.advance("1ms")
        assert site.rows(Weighed) == [Weighed("a", 1.0)]
        marks = site.node.outbox.core.stock.marks
        assert not marks  # the node has not heard
        await site.advance("2s")
        assert marks
        assert site.ledger.balanced()


async def test_a_link_that_goes_down_loses_what_is_on_its_way() -> None:
    async with Site(app) as site:
        site.uplink.delay("2s")
        await site.device("d").publish("lines/a/weigh", {"weight": 1}, qos=1)
        await site.settle()
        site.uplink.down()
        await site.advance("1m")
        assert site.rows(Weighed) == []
        site.uplink.up()
        await site.settle()
        await site.advance("2s")
        assert site.rows(Weighed) == [Weighed("a", 1.0)]


@pytest.mark.parametrize("delay", [None, "300ms"])
async def test_envelopes_that_are_lost_come_again_and_once(delay: str | None) -> None:
    async with Site(app, seed=5) as site:
        site.uplink.lose(0.4)
        site.uplink.delay(delay)
        device = site.device("d")
        for weight in range(12):
            await device.publish("lines/a/weigh", {"weight": weight}, qos=1)
            await site.settle()
            await site.advance("200ms")
        site.uplink.lose(0.0)
        for _ in range(4):
            await site.settle()
            await site.advance("1s")
        assert site.uplink.lost > 0
        assert [row.weight for row in site.rows(Weighed)] == list(range(12))
        assert site.ledger.balanced()
        assert site.ledger.waiting == 0


async def test_the_same_seed_is_the_same_run_to_the_last_envelope() -> None:
    async def run(seed: int) -> tuple[int, int, list[str]]:
        async with Site(app, seed=seed) as site:
            site.uplink.lose(0.3)
            site.uplink.flaky(0.3)
            device = site.device("d")
            for weight in range(8):
                await device.publish("lines/a/weigh", {"weight": weight}, qos=1)
                await site.settle()
            traces = [trace.id for trace in site.traces]
            return site.uplink.lost, site.uplink.breaks, traces

    assert await run(4) == await run(4)
    assert await run(4) != await run(5)
