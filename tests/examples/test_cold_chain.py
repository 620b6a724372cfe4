"""The cold chain as a user would test it: its rules one by one, then a fleet against the truth."""

from datetime import UTC, datetime, timedelta

from examples.cold_chain.app import (
    PLACES,
    DoorAlarm,
    Minute,
    Reading,
    Silent,
    TooWarm,
    Truck,
    Visit,
    app,
    guard,
)
from tests.examples.judging import START, Told, differences, drive, expected, told

from rimward.devices.cold_chain import ColdChain
from rimward.devices.cold_chain.journeys import PLACES as STOPS
from rimward.events import to_ns
from rimward.streams import Polygon
from rimward.testing import Device, Site, effects, state

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
AT_THE_DEPOT, AWAY = {"lon": 13.05, "lat": 52.40}, {"lon": 13.1, "lat": 52.43}


async def tell(truck: Device, what: str, second: float, **values: object) -> None:
    at = NOON + timedelta(seconds=second)
    assert (await truck.publish(f"trucks/7/{what}", {"at": at, **values}, qos=1)).ok


async def test_a_warm_truck_is_chilled_at_once_and_reported_exactly_once() -> None:
    async with Site(app, seed=7) as site:
        chiller, probe = site.inbox("trucks/7/chiller"), site.device("7")
        site.uplink.down()
        await probe.publish("trucks/7/temperature", {"celsius": 9.5, "at": NOON}, qos=1)
        assert chiller.all == [{"mode": "max"}]
        await site.advance("119s")
        await site.kill9()  # state and timer survive
        await site.advance("72h")
        site.uplink.up()
        await site.settle()
        assert site.rows(TooWarm) == [TooWarm("7", 9.5)]
        assert site.ledger.balanced()
        assert site.ledger.discarded == 0


async def test_a_truck_that_stays_warm_is_reported_once_and_again_when_it_has_been_cool() -> None:
    async with Site(app, start=NOON) as site:
        chiller, probe = site.inbox("trucks/7/chiller"), site.device("7")
        for second, celsius in enumerate((9.5, 9.0, 8.5, 7.0, 8.5, 9.0)):
            await tell(probe, "temperature", 90 * second, celsius=celsius)
            await site.advance("90s")
        await site.settle()
        assert [row.celsius for row in site.rows(TooWarm)] == [9.0, 9.0]
        assert [one["mode"] for one in chiller] == ["max", "max", "max", "auto", "max", "max"]


async def test_a_truck_that_is_cool_again_in_time_is_not_reported() -> None:
    async with Site(app, start=NOON) as site:
        await tell(site.device("7"), "temperature", 0, celsius=9.5)
        await site.advance("110s")
        await tell(site.device("7"), "temperature", 110, celsius=8.0)
        await site.advance("1h")
        await site.settle()
        assert site.rows(TooWarm) == []


async def test_a_door_that_is_left_open_buzzes_and_one_that_is_shut_in_time_does_not() -> None:
    async with Site(app, start=NOON) as site:
        buzzer, truck = site.inbox("trucks/7/buzzer"), site.device("7")
        await tell(truck, "position", 0, **AT_THE_DEPOT)
        for second, is_open in ((10, True), (189, False), (300, True), (481, False)):
            await site.advance(NOON + timedelta(seconds=second) - site.now)
            await tell(truck, "door", second, open=is_open)
        await site.advance("5m")
        await site.settle()
        opened = NOON + timedelta(seconds=300)
        assert buzzer.all == [{"since": "2026-01-01T12:05:00Z"}]
        assert site.rows(DoorAlarm) == [DoorAlarm("left open", opened, "7")]


async def test_a_door_that_is_opened_on_the_road_is_told_from_one_at_a_stop() -> None:
    async with Site(app, start=NOON) as site:
        truck = site.device("7")
        for second, position in ((0, AT_THE_DEPOT), (60, AWAY)):
            await tell(truck, "position", second, **position)
            await tell(truck, "door", second + 20, open=True)
            await tell(truck, "door", second + 30, open=False)
            await site.kill9()
            await site.advance("1m")
        await site.settle()
        assert site.rows(DoorAlarm) == [DoorAlarm("opened on the road", NOON + timedelta(seconds=80), "7")]


async def test_a_stop_is_a_visit_once_it_has_lasted_two_minutes() -> None:
    async with Site(app, start=NOON) as site:
        truck = site.device("7")
        for second, position in ((0, AT_THE_DEPOT), (100, AWAY), (200, AT_THE_DEPOT)):
            await tell(truck, "position", second, **position)
            await site.advance("100s")
        await site.advance("1m")
        await site.settle()
        assert site.rows(Visit) == [Visit("depot", NOON + timedelta(seconds=320), "7")]


async def test_a_thermometer_that_falls_silent_is_told_once() -> None:
    async with Site(app, start=NOON) as site:
        for second in (0, 110, 220):
            await tell(site.device("7"), "temperature", second, celsius=4.0)
            await site.advance("110s")
        await site.advance("1h")
        await site.settle()
        assert site.rows(Silent) == [Silent(NOON + timedelta(seconds=220), "7")]


async def test_each_minute_is_kept() -> None:
    async with Site(app, start=NOON) as site:
        for second, celsius in ((0, 7.0), (30, 9.0)):
            await tell(site.device("7"), "temperature", second, celsius=celsius)
        await site.advance("2m")
        await site.settle()
        assert site.rows(Minute) == [Minute("7", 8.0, 9.0)]
        assert site.errors == []


async def test_the_latest_reading_is_served() -> None:
    async with Site(app) as site:
        assert (await site.http.get("/trucks/7")).status == 404
        await site.device("7").publish("trucks/7/temperature", {"celsius": 4.0, "at": NOON}, qos=1)
        assert (await site.http.get("/trucks/7")).json(Truck) == Truck(4.0)


def test_a_truck_that_is_reported_already_starts_no_timer() -> None:
    with effects(app) as fx:
        guard("7", Reading(9.5, NOON), state(Truck(9.0, told=True)))
    assert [one.payload for one in fx.published] == [{"mode": "max"}]
    assert fx.timers == []


def test_the_simulated_trucks_stop_in_the_apps_places() -> None:
    for stop in STOPS:
        inside = [name for name, corners in PLACES.items() if Polygon([corners]).contains(stop.lon, stop.lat)]
        assert inside == [stop.name]


async def test_all_that_happens_to_a_fleet_is_told_and_nothing_else_though_the_node_is_killed() -> None:
    fleet = ColdChain(241, 2, start=to_ns(START), drive=True)
    async with Site(app, start=START, seed=7) as site:
        truth = await drive(site, fleet, 5_200, kill_every=600)
        should, alarms = expected(truth, to_ns(site.now)), told(site)
        assert differences(alarms, should) == []
        must = {one.kind for one in should if one.must}
        assert must >= {"left open", "opened on the road", "silent", "warm", "visit depot"}
        assert site.errors == []
        assert site.ledger.balanced()


def test_an_alarm_that_is_missing_wrong_or_told_twice_is_seen() -> None:
    fleet = ColdChain(241, 2, drive=True)
    fleet.step(5_200)
    should = expected(fleet.take_labels(), 5_200_000_000_000)
    right = [Told(one.truck, one.kind, one.last) for one in should if one.must]
    assert len(right) > 10
    assert differences(right, should) == []
    assert len(differences(right[1:], should)) == 1
    assert len(differences([*right, right[0]], should)) == 1
    assert differences([*right, Told("1", "warm", 1)], should) == ["false alarm: warm of truck 1 at 00:00:00"]
