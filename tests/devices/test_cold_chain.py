"""The simulated cold chain: plausible physics, repeatable bytes, labels that tell what happened."""

import hashlib
from datetime import datetime
from itertools import islice, pairwise
from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.devices.cold_chain import ColdChain, CommandError, Label, Report
from rimward.devices.cold_chain.box import Box, Mode
from rimward.devices.cold_chain.episodes import Rate
from rimward.devices.cold_chain.journeys import FAULTS, PLACES, legs
from rimward.devices.cold_chain.truck import WARM, Rates
from rimward.events import from_ns

NEVER = Rate(every=inf, lasts=1)
QUIET = Rates(door=NEVER, drift=NEVER, stuck=NEVER, dropout=NEVER)
SECOND = 1_000_000_000  # ns


def digest(seed: int, trucks: int, steps: int) -> str:
    fleet, sha = ColdChain(seed, trucks), hashlib.sha256()
    for _ in range(steps):
        for sample in fleet.step(10):
            sha.update(sample.payload())
    return sha.hexdigest()


def only(**rates: Rate) -> Rates:
    return Rates(**{**{name: getattr(QUIET, name) for name in Rates.__struct_fields__}, **rates})


def labelled(labels: list[Label], at: int) -> bool:
    return any(label.start <= at < label.end for label in labels)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert digest(7, 20, 60) == digest(7, 20, 60)


def test_another_seed_gives_other_bytes() -> None:
    assert digest(7, 20, 60) != digest(8, 20, 60)


def test_a_fleet_twice_as_large_has_the_same_first_trucks() -> None:
    small, large = ColdChain(7, 3), ColdChain(7, 6)
    assert small.step(60) == [sample for sample in large.step(60) if int(sample.truck) <= 3]


def test_a_payload_is_what_an_app_decodes() -> None:
    fleet = ColdChain(7, 1, start=1_790_000_000 * SECOND, rates=QUIET)
    (sample,) = fleet.step(10)
    assert sample.payload() == (b'{"celsius":%s,"at":"2026-09-21T14:13:30Z"}' % str(sample.celsius).encode())


def test_an_hour_of_a_thousand_trucks_stays_within_the_laws_of_nature() -> None:
    fleet, reports = ColdChain(7, 1000), 0
    coldest, warmest = inf, -inf
    for _ in range(60):
        reports += len(fleet.step(60))
        temperatures = [truck.box.celsius for truck in fleet.trucks.values()]
        coldest, warmest = min(coldest, *temperatures), max(warmest, *temperatures)
    ambient = [truck.box.ambient for truck in fleet.trucks.values()]
    assert coldest >= min(3.0, *ambient)
    assert warmest <= max(ambient) + 3  # the fans' heat behind closed walls is 2.5 K
    assert 59_000 < reports < 60_000  # some thermometers are silent, most are not


def test_an_undisturbed_box_stays_within_its_thermostats_band() -> None:
    box = Box(4.0, ambient=25.0)
    seen: list[float] = []
    for _ in range(2000):
        box.advance(7.0)
        seen.append(box.celsius)
    assert 3.0 - 1e-9 <= min(seen) < 3.1
    assert 4.9 < max(seen) <= 5.0 + 1e-9
    assert box.starts > 20


def test_the_compressor_takes_out_the_heat_that_comes_in() -> None:
    box = Box(4.0, ambient=25.0)
    came_in, previous = 0.0, box.celsius
    for _ in range(86_400):
        box.advance(1.0)
        came_in += box.walls * (box.ambient - (previous + box.celsius) / 2) + box.gain
        previous = box.celsius
    stored = box.capacity * (box.celsius - 4.0)
    assert box.cooled == pytest.approx(came_in - stored, rel=1e-4)


@given(
    parts=st.lists(st.floats(0.1, 400), min_size=1, max_size=30),
    ambient=st.floats(-10, 45),
    celsius=st.floats(-5, 30),
    mode=st.sampled_from(Mode),
    is_open=st.booleans(),
)
def test_how_time_is_cut_changes_nothing(
    *, parts: list[float], ambient: float, celsius: float, mode: Mode, is_open: bool
) -> None:
    whole, cut = (Box(celsius, ambient, mode=mode, is_open=is_open) for _ in range(2))
    whole.advance(sum(parts))
    for part in parts:
        cut.advance(part)
    assert cut.celsius == pytest.approx(whole.celsius, abs=1e-6)
    assert cut.cooled == pytest.approx(whole.cooled, abs=1)


def test_a_fleet_in_small_steps_is_where_it_is_in_large_ones() -> None:
    fine, coarse = ColdChain(3, 20), ColdChain(3, 20)
    for _ in range(1800):
        fine.step(1)
    for _ in range(30):
        coarse.step(60)
    for number, truck in fine.trucks.items():
        assert truck.box.celsius == pytest.approx(coarse.trucks[number].box.celsius, abs=1e-6)
    assert {(label.truck, label.kind, label.start) for label in fine.take_labels()} == {
        (label.truck, label.kind, label.start) for label in coarse.take_labels()
    }


def test_an_open_door_warms_and_is_labelled() -> None:
    calm = ColdChain(7, 30, rates=QUIET)
    busy = ColdChain(7, 30, rates=only(door=Rate(every=900, lasts=120)))
    warmer = 0
    for _ in range(360):
        calm.step(10)
        busy.step(10)
        for number, truck in busy.trucks.items():
            now = round(busy.now * SECOND)
            mine = [label for label in busy.labels if label.truck == number]
            assert truck.box.is_open == labelled(mine, now)
            warmer += truck.box.celsius > calm.trucks[number].box.celsius + 2
    assert {label.kind for label in busy.take_labels()} == {"door"}
    assert warmer > 300


def test_doors_open_as_often_as_their_rate_says() -> None:
    fleet = ColdChain(1, 50, rates=only(door=Rate(every=900, lasts=100)))
    fleet.step(36_000)  # one long step tells of every opening in it
    openings = len(fleet.take_labels())
    assert openings == pytest.approx(50 * 36_000 / 1000, rel=0.1)


def test_a_dropout_is_silence_and_nothing_else_is() -> None:
    fleet = ColdChain(7, 30, rates=only(dropout=Rate(every=600, lasts=90)))
    silent = 0
    for _ in range(360):
        reported = {sample.truck for sample in fleet.step(10)}
        now = round(fleet.now * SECOND)
        expected = {label.truck for label in fleet.labels if label.start <= now < label.end}
        assert set(fleet.trucks) - reported == expected
        silent += len(expected)
    assert silent > 500


def test_a_stuck_thermometer_repeats_itself_for_as_long_as_its_label() -> None:
    fleet = ColdChain(7, 30, rates=only(stuck=Rate(every=900, lasts=300)))
    reports: dict[str, list[tuple[int, float]]] = {number: [] for number in fleet.trucks}
    for _ in range(360):
        for sample in fleet.step(10):
            reports[sample.truck].append((sample.at, sample.celsius))
    repeated = checked = 0
    for label in fleet.labels:
        during = {value for at, value in reports[label.truck] if label.start <= at < label.end}
        assert len(during) <= 1
        checked += len(during)
    for number, values in reports.items():
        mine = [label for label in fleet.labels if label.truck == number]
        free = [(at, value) for at, value in values if not labelled(mine, at)]
        repeated += sum(a[1] == b[1] and b[0] - a[0] == 10 * SECOND for a, b in pairwise(free))
    assert checked > 50
    assert repeated < 600  # of 10,000: a free thermometer says the same twice only by chance


def test_a_drifting_thermometer_errs_further_and_further_until_its_label_ends() -> None:
    fleet = ColdChain(7, 30, rates=only(drift=Rate(every=2_000, lasts=20_000)))
    for _ in range(12):
        fleet.step(600)
    samples = {sample.truck: sample.celsius for sample in fleet.step(600)}
    now = round(fleet.now * SECOND)
    for number, truck in fleet.trucks.items():
        error = abs(samples[number] - truck.box.celsius)
        drifting = [s for s in fleet.labels if s.truck == number and s.start <= now < s.end]
        hours = sum(now - label.start for label in drifting) / SECOND / 3600
        assert 0.2 * hours - 0.3 <= error <= 1.0 * hours + 0.3  # 0.2 to 1 K an hour, and noise


def test_max_cools_below_the_band_and_auto_lets_it_back() -> None:
    fleet = ColdChain(7, 1, rates=QUIET)
    fleet.command("1", b'{"mode": "max"}')
    fleet.step(1800)
    assert fleet.trucks["1"].box.celsius < 2
    fleet.command("1", b'{"mode": "auto"}')
    fleet.step(3600)
    assert 3 <= fleet.trucks["1"].box.celsius <= 5


def test_a_chiller_that_is_off_lets_the_box_warm_to_the_outside() -> None:
    fleet = ColdChain(7, 1, rates=QUIET)
    fleet.command("1", b'{"mode": "off"}')
    fleet.step(24 * 3600)
    box = fleet.trucks["1"].box
    assert box.celsius > 5
    assert box.starts == 0


@pytest.mark.parametrize("command", [b"", b"[]", b'{"mode": "colder"}', b'{"mode": "max", "x": 1}', b"\xff"])
def test_a_command_that_is_none_is_refused_and_changes_nothing(command: bytes) -> None:
    fleet = ColdChain(7, 1, rates=QUIET)
    with pytest.raises(CommandError, match="truck 1: "):
        fleet.command("1", command)
    assert fleet.trucks["1"].box.mode is Mode.AUTO


def driven(seed: int, steps: int, dt: float) -> tuple[list[Label], list[Report]]:
    fleet = ColdChain(seed, 2, drive=True)
    for _ in range(steps):
        fleet.step(dt)
    return fleet.take_labels(), fleet.take_reports()


def test_what_happens_on_the_road_does_not_depend_on_how_often_trucks_report() -> None:
    (fine, often), (coarse, seldom) = driven(241, 360, 10), driven(241, 60, 60)
    assert set(fine) == set(coarse)
    doors = [[report for report in reports if report.what == "door"] for reports in (often, seldom)]
    assert sorted(map(repr, doors[0])) == sorted(map(repr, doors[1]))
    assert len(often) - len(seldom) == 2 * 300


def test_doors_are_reported_when_the_labels_say_that_they_were_open() -> None:
    labels, reports = driven(241, 240, 20)
    told = [msgspec.json.decode(one.payload) for one in reports if (one.truck, one.what) == ("1", "door")]
    opened = [from_ns(label.start) for label in labels if (label.truck, label.kind) == ("1", "door")]
    assert [datetime.fromisoformat(one["at"]) for one in told if one["open"]] == opened
    assert [one["open"] for one in told][:2] == [True, False]


def test_a_truck_is_at_the_place_of_its_visit_and_opens_its_door_there() -> None:
    fleet, near, far = ColdChain(7, 3, drive=True), 0, 0
    for _ in range(900):
        fleet.step(10)
        now = round(fleet.now * SECOND)
        for report in fleet.take_reports():
            mine = [one for one in fleet.labels if one.truck == report.truck and one.start <= now < one.end]
            kinds = {one.kind: one.place for one in mine}
            if report.what == "position":
                where = msgspec.json.decode(report.payload)
                at = [
                    one.name
                    for one in PLACES
                    if abs(where["lon"] - one.lon) + abs(where["lat"] - one.lat) < 0.001
                ]
                near += "visit" in kinds
                far += "visit" not in kinds and not at
                assert "visit" not in kinds or at == [kinds["visit"]]
            if "door" in kinds:
                assert ("visit" in kinds) != ("on-the-road" in kinds)
    assert near > 500
    assert far > 500


def test_one_thing_goes_wrong_at_a_time_and_every_kind_does() -> None:
    kinds: set[str] = set()
    for seed in range(20):
        faults = [leg.fault for leg in islice(legs(str(seed)), 60) if leg.fault is not None]
        assert all(later.start - earlier.end > 1_000 for (_, earlier), (_, later) in pairwise(faults))
        kinds |= {kind for kind, _ in faults}
    assert kinds == set(FAULTS)


def test_a_compressor_that_fails_lets_the_air_get_warm_and_the_label_says_from_when_to_when() -> None:
    fleet = ColdChain(14, 3, drive=True)
    warm = dict.fromkeys(fleet.trucks, 0)
    for _ in range(9_000):
        fleet.step(1)
        for name, truck in fleet.trucks.items():
            warm[name] += truck.box.celsius > WARM
    labels = [label for label in fleet.take_labels() + fleet.going_on() if label.kind == "warm"]
    for name, seconds in warm.items():
        assert sum(one.end - one.start for one in labels if one.truck == name) == seconds * SECOND
    assert max(warm.values()) > 600


def test_a_command_for_a_truck_that_is_not_there_is_refused() -> None:
    with pytest.raises(CommandError, match="there are 3"):
        ColdChain(7, 3).command("4", b'{"mode": "max"}')
