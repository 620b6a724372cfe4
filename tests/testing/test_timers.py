"""Timers in a Site: once, at their time, with what their call committed; over kills and full outboxes."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rimward import App, State, TimersFull, mqtt, timer
from rimward.testing import Site, effects, state

from .cooling import Fired, Reading, TooWarm, Truck, app, gate, guard

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
WARM, COLD = {"celsius": 9.5}, {"celsius": 5.0}


async def test_a_warm_truck_is_chilled_at_once_and_reported_exactly_once() -> None:
    async with Site(app, seed=7) as site:
        chiller, probe = site.inbox("trucks/7/chiller"), site.device("7")
        site.uplink.down()
        await probe.publish("trucks/7/temperature", {"celsius": 9.5, "at": MIDNIGHT}, qos=1)
        assert chiller.all == [{"mode": "max"}]
        await site.advance("119s")
        await site.kill9()  # state and timer survive
        await site.advance("72h")
        site.uplink.up()
        await site.settle()
        assert site.rows(TooWarm) == [TooWarm("7", 9.5)]
        assert site.ledger.balanced()
        assert site.ledger.discarded == 0


async def test_a_pending_timer_is_kept_and_a_cancelled_one_is_gone_also_after_a_kill() -> None:
    async with Site(app) as site:
        probe = site.device("7")
        await probe.publish("trucks/7/temperature", WARM, qos=1)
        await probe.publish("trucks/8/temperature", WARM, qos=1)
        await site.advance("60s")
        await probe.publish("trucks/7/temperature", WARM, qos=1)
        await probe.publish("trucks/8/temperature", COLD, qos=1)
        await site.kill9()
        await site.advance("59s")
        await site.settle()
        assert site.rows(TooWarm) == []
        await site.advance("1s")  # two minutes after the first
        await site.settle()
        assert site.rows(TooWarm) == [TooWarm("7", 9.5)]
        await site.advance("10m")
        await site.settle()
        assert len(site.rows(TooWarm)) == 1


async def test_restart_moves_a_timer_and_a_timer_may_start_itself_again() -> None:
    async with Site(app) as site:
        blinks, probe = site.inbox("trucks/7/blinks"), site.device("7")
        await probe.publish("trucks/7/lamp", b"on")
        await site.advance("9s")
        await probe.publish("trucks/7/lamp", b"again")
        await site.advance("9s")
        assert blinks.all == []
        await site.advance("1s")
        assert blinks.all == [1]
        await site.advance("1h")
        assert blinks.all == [1, 2, 3]
        await site.settle()
        rows = site.rows(Fired)
        assert [(row.due - MIDNIGHT).total_seconds() for row in rows] == [19, 20, 21]
        assert len({row.id for row in rows}) == 3


async def test_timers_of_a_state_that_is_not_durable_die_with_the_process() -> None:
    async with Site(app) as site:
        blinks = site.inbox("trucks/7/blinks")
        await site.device("7").publish("trucks/7/lamp", b"on", qos=1)
        await site.kill9()
        await site.advance("1h")
        assert blinks.all == []


async def test_a_call_that_raises_sets_no_timer() -> None:
    async with Site(app) as site:
        ack = await site.device("7").publish("trucks/7/temperature", {"celsius": 2000.0}, qos=1)
        assert not ack.ok
        await site.advance("1h")
        await site.settle()
        assert site.rows(TooWarm) == []


async def test_a_message_of_which_one_function_finds_no_room_sets_no_timer() -> None:
    async with Site(app) as site:
        room, site.node.outbox.core.room.limit = site.node.outbox.core.room.limit, 0
        assert not (await site.device("7").publish("trucks/7/fuse", b"", qos=1)).ok
        assert site.node.dispatcher.firing.told()["explode"] == (0, None)
        site.node.outbox.core.room.limit = room


@pytest.mark.parametrize("moment", ["before-commit", "after-commit"])
async def test_a_kill_around_the_commit_of_a_firing_leaves_its_effects_once(moment: str) -> None:
    async with Site(app) as site:
        await site.device("7").publish("trucks/7/bomb", b"", qos=1)
        site.kill9_at(moment)
        await site.advance("1h")
        await site.settle()
        [row] = site.rows(Fired)
        assert row.due == MIDNIGHT + timedelta(seconds=1)


async def test_a_message_whose_commit_did_not_happen_has_set_no_timer() -> None:
    async with Site(app) as site:
        site.kill9_at("before-commit")
        probe = site.device("7")
        await probe.publish("trucks/7/bomb", b"", qos=1)
        await site.advance("1h")
        await site.settle()
        assert len(site.rows(Fired)) == 1  # the device has sent it again


async def test_a_timer_that_raises_is_over_and_its_event_is_a_dead_letter() -> None:
    async with Site(app) as site:
        await site.device("7").publish("trucks/dud/bomb", b"", qos=1)
        await site.advance("1h")
        await site.settle()
        assert site.rows(Fired) == []
        assert [(one.function, one.source) for one in site.dead_letters] == [("explode", "explode/dud")]


async def test_a_firing_without_room_for_its_fact_is_tried_again_as_the_same_one_until_there_is() -> None:
    async with Site(app) as site:
        await site.device("7").publish("trucks/7/bomb", b"", qos=1)
        room, site.node.outbox.core.room.limit = site.node.outbox.core.room.limit, 0
        await site.advance("30s")
        counters = site.node.dispatcher.counters
        assert counters["timers_put_off"] == counters["timers_fired"] == 5  # after 0, 1, 3, 7 and 15 s
        site.node.outbox.core.room.limit = room
        await site.advance("30s")
        await site.settle()
        [row] = site.rows(Fired)
        assert row.at - row.due >= timedelta(0)
        assert site.dead_letters == []


async def test_a_firing_without_room_is_given_up_where_its_function_says_so_for_good() -> None:
    dropping = App("dropping", compat="2026-11-01")
    dropping.fact(TooWarm)
    dropping.state(key="truck", durable=True)(Truck)

    @dropping.edge(mqtt("trucks/{truck}/bomb"))
    def arm(payload: bytes, state: State[Truck]) -> None:
        state.after("1s", explode)

    @dropping.edge(timer(Truck), on_full="drop")
    def explode(state: State[Truck]) -> None:
        dropping.forward(TooWarm("7", 9.5))

    async with Site(dropping) as site:
        await site.device("7").publish("trucks/7/bomb", b"", qos=1)
        room, site.node.outbox.core.room.limit = site.node.outbox.core.room.limit, 0
        await site.advance("30s")
        counters = site.node.dispatcher.counters
        assert (counters["timers_fired"], counters["timers_dropped"]) == (1, 1)
        site.node.outbox.core.room.limit = room
        await site.kill9()
        await site.advance("1h")
        await site.settle()
        assert site.rows(TooWarm) == []


async def test_a_timer_that_is_cancelled_while_it_waits_for_its_cell_does_not_run() -> None:
    gate.clear()
    async with Site(app) as site:
        probe = site.device("7")
        await probe.publish("trucks/7/temperature", WARM, qos=1)
        waiting = asyncio.ensure_future(probe.publish("trucks/7/slow", b"", qos=1))
        await asyncio.sleep(0)  # it is on its way
        await site.advance("2m")
        assert len(site.node.tasks) == 1
        gate.set()
        await waiting
        await site.advance("1h")
        await site.settle()
        assert site.rows(TooWarm) == []


async def test_beyond_the_limit_a_message_that_starts_a_timer_is_refused_and_leaves_nothing() -> None:
    async with Site(app) as site:
        timers, probe = site.node.dispatcher.firing.timers, site.device("7", protocol="mqtt5")
        timers.limit = 1
        assert (await probe.publish("trucks/7/temperature", WARM, qos=1)).ok
        assert (await probe.publish("trucks/7/temperature", WARM, qos=1)).ok  # it is kept
        refused = await probe.publish("trucks/8/temperature", WARM, qos=1)
        assert refused.code == 0x97
        problem = site.node.dispatcher.firing.problem()
        assert problem == "1 timers are pending, the limit: messages that start one are refused"
        assert [type(error) for error in site.errors] == [TimersFull]
        told = site.node.dispatcher.firing.told()
        assert told["still_warm"] == (1, site.clock.wall() + 120 * 10**9)


def test_a_function_that_is_called_by_hand_tells_what_it_wants_of_timers() -> None:
    with effects(app) as caught:
        guard("7", Reading(9.5), state(Truck, key="7"))
        guard("7", Reading(3.0), state(Truck, key="7"))
    assert [(one.function, one.key, one.delay) for one in caught.timers] == [
        ("still_warm", "7", 120 * 10**9),
        ("still_warm", "7", None),
    ]
