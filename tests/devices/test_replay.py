"""Replayed devices: what they say, when, and what they measure."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from itertools import islice, pairwise
from math import inf
from pathlib import Path
from random import Random

import msgspec
import pytest

from rimward.devices import recordings
from rimward.devices.client import Client, Settings
from rimward.devices.errors import Refused
from rimward.devices.reconnect import Backoff, Waits
from rimward.devices.recordings import Recording, RecordingError
from rimward.devices.replay import Fleet, Pace, Player, Report, Script, Step, from_lines, wearables
from rimward.protocols.mqtt import Publish, Reason

from .peer import Link, Peer, closed_port, echo

START = 1_790_000_000_000_000_000  # ns since the epoch
QUICK = Pace(speed=inf)


@pytest.fixture(scope="module")
def scripts() -> list[Script]:
    return wearables(recordings.daphnet(), recordings.basic_motions(), seed=1)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        peer.on_publish = echo("buzz")
        yield peer


def taken(script: Script, n: int) -> list[Step]:
    return list(islice(script.steps(START), n))


def by_name(scripts: list[Script], name: str) -> Script:
    return next(script for script in scripts if script.device == name)


def limited(script: Script, n: int) -> Script:
    return Script(script.device, lambda start: islice(script.steps(start), n), script.listens)


def fleet(scripts: list[Script], peer: Peer, pace: Pace = QUICK, **others: int) -> Fleet:
    settings = Settings(port=peer.port, **others)  # pyright: ignore[reportArgumentType] (each test names one field)
    return Fleet(scripts, settings, pace=pace, seed=1, now=time.monotonic_ns)


async def played(fleet: Fleet) -> Report:
    async with fleet:
        fleet.start(START)
        await fleet.finished()
        await fleet.drain(10)
        return fleet.report()


def test_the_wearer_is_three_devices_and_each_case_is_a_watch(scripts: list[Script]) -> None:
    names = [script.device for script in scripts]
    assert names[:3] == ["daphnet-ankle", "daphnet-thigh", "daphnet-trunk"]
    assert len(names) == len(set(names)) == 15
    assert all(0 <= int(name.removeprefix("watch-")) < 80 for name in names[3:])


def test_the_first_watches_hold_every_activity() -> None:
    cases = recordings.basic_motions()
    four = wearables(None, cases, seed=9, watches=4)
    labels = {cases[int(script.device.removeprefix("watch-"))].label for script in four}
    assert labels == {"Standing", "Walking", "Running", "Badminton"}


def test_the_same_seed_plays_the_same_and_another_does_not() -> None:
    cases = recordings.basic_motions()
    first, again, other = ([s.device for s in wearables(None, cases, seed=seed)] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_samples_are_as_far_apart_as_they_were_recorded(scripts: list[Script]) -> None:
    for name, hz in (("daphnet-trunk", 64), (scripts[-1].device, 10)):
        steps = taken(by_name(scripts, name), 20)
        assert 0 <= steps[0].at < 1 / hz
        assert all(b.at - a.at == pytest.approx(1 / hz) for a, b in pairwise(steps))


def test_payloads_are_in_g_with_their_event_time(scripts: list[Script]) -> None:
    step = taken(by_name(scripts, "daphnet-ankle"), 1)[0]
    payload = json.loads(step.payload)
    assert step.topic == "wearers/daphnet-ankle/motion"
    assert {axis: payload[axis] for axis in "xyz"} == {"x": 0.101, "y": 1.0, "z": 0.297}
    assert payload["at"].startswith("2026-09-21T14:13:20.0")
    assert payload["at"].endswith("Z")
    assert step.key == START // 1000 + round(step.at * 1e6)


def test_a_watchs_metres_per_second_squared_become_g() -> None:
    case = Recording("basic-00", 10.0, ("ax", "ay", "az"), ((9.80665, -19.6133, 0.0),), "Standing")
    (step,) = taken(wearables(None, [case], seed=1)[0], 1)
    assert [json.loads(step.payload)[axis] for axis in "xyz"] == [1.0, -2.0, 0.0]


def test_a_recording_starts_over_and_its_times_go_on() -> None:
    case = Recording("basic-00", 10.0, ("ax", "ay", "az"), ((1.0, 0.0, 0.0), (2.0, 0.0, 0.0)), None)
    steps = taken(wearables(None, [case], seed=1)[0], 4)
    values = [json.loads(step.payload)["x"] for step in steps]
    assert values[:2] == values[2:]
    assert steps[3].at - steps[0].at == pytest.approx(0.3)


LINE = '{"device": "d", "topic": "t/1", "payload": {"n": 1}, "t": 0.5}\n'


def test_lines_are_played_in_the_order_of_their_times() -> None:
    text = LINE + "\n" + '{"device": "d", "topic": "t/2", "payload": "plain é", "t": 0}\n'
    (script,) = from_lines(text, "x.jsonl")
    assert script.device == "d"
    assert taken(script, 9) == [
        Step(0, "t/2", "plain é".encode(), None),
        Step(0.5, "t/1", b'{"n": 1}', None),
    ]


def test_each_device_of_a_file_is_a_device() -> None:
    scripts = from_lines(LINE + LINE.replace('"d"', '"e"'), "x.jsonl")
    assert [(script.device, len(taken(script, 9))) for script in scripts] == [("d", 1), ("e", 1)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no messages"),
        (LINE + "{", r"x\.jsonl:2: "),
        (LINE.replace("0.5", "-1"), "from 0 on"),
        (LINE.replace('"t/1"', '""'), "a topic"),
        (LINE.replace('"t"', '"time"'), "time"),
        (LINE.replace("0.5", '"soon"'), r"\$\.t"),
    ],
)
def test_a_broken_line_is_refused_with_its_number(text: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        from_lines(text, "x.jsonl")


async def test_every_sample_is_acknowledged_and_every_action_measured(
    peer: Peer, scripts: list[Script]
) -> None:
    report = await played(fleet([limited(script, 40) for script in scripts], peer))
    assert report.is_clean
    assert (report.devices, report.total.sent, report.total.buzzes) == (15, 600, 600)
    assert (report.total.unmatched, report.unacknowledged, report.total.late) == (0, 0, 0)
    assert report.round_trip_us.count == 600
    assert 0 < report.round_trip_us.p50 <= report.round_trip_us.p99 <= report.round_trip_us.max
    assert {packet.qos for packet in peer.published} == {1}


async def test_devices_are_connections_of_their_own_named_by_their_wearers(
    peer: Peer, scripts: list[Script]
) -> None:
    async with fleet(scripts, peer):
        assert sorted(peer.connects) == sorted(script.device for script in scripts)
        assert {tuple(link.filters) for link in peer.links} == {
            (f"wearers/{script.device}/buzz",) for script in scripts
        }


async def test_at_qos_0_many_devices_share_the_loop_and_all_arrives(
    peer: Peer, scripts: list[Script]
) -> None:
    report = await played(fleet([limited(script, 300) for script in scripts], peer, Pace(speed=inf, qos=0)))
    await peer.until(lambda: len(peer.published) == 15 * 300)
    assert report.total.sent == 15 * 300


async def test_a_sample_that_is_sent_after_its_time_is_counted() -> None:
    now = 0
    async with Peer() as peer, Client(Settings(port=peer.port, client_id="d")) as client:
        steps = [Step(at, "t", b"", None) for at in (0.0, 1.0, 2.0, 4.5)]
        player = Player(Script("d", lambda _start: iter(steps)), client, Pace(), lambda: now)
        now = 4_505_000_000  # ns: three are late, the last is within what counts as in time
        await player.play(0, START)
        assert (player.counts.sent, player.counts.late) == (4, 3)


async def test_the_schedule_is_absolute_and_follows_the_speed() -> None:
    now = 0
    async with Peer() as peer, Client(Settings(port=peer.port, client_id="d")) as client:
        steps = [Step(n / 10, "t", b"", None) for n in range(40)]
        player = Player(Script("d", lambda _start: iter(steps)), client, Pace(speed=100), lambda: now)
        now = 39_500_000  # ns: 3.95 recorded seconds at a hundredfold speed
        await player.play(0, START)
        assert player.counts.sent == 40
        assert player.counts.late == 30  # those due more than 10 ms ago


async def test_refused_samples_are_counted_by_their_reason(peer: Peer, scripts: list[Script]) -> None:
    def refuse(link: Link, packet: Publish) -> None:
        link.session.acknowledge(packet.packet_id, Reason.QUOTA_EXCEEDED)

    peer.on_publish = refuse
    report = await played(fleet([limited(scripts[0], 5)], peer))
    assert report.total.refused == {"quota exceeded": 5}
    assert report.total.acknowledged == 0
    assert not report.is_clean


async def test_actions_that_fit_no_sample_are_counted_apart(peer: Peer, scripts: list[Script]) -> None:
    def buzz(link: Link, packet: Publish) -> None:
        link.acknowledge(packet)
        for payload in (b"\xff", b"{}", b'{"at": "2020-01-01T00:00:00Z"}', b'{"at": "2020-01-01T00:00:00"}'):
            link.send(packet.topic.replace("motion", "buzz"), payload)

    peer.on_publish = buzz
    report = await played(fleet([limited(scripts[0], 1)], peer))
    assert (report.total.buzzes, report.total.unmatched, report.round_trip_us.count) == (4, 4, 0)


async def test_a_lost_connection_loses_no_sample(peer: Peer, scripts: list[Script]) -> None:
    answer, dropped = echo("buzz"), False

    def drop_once(link: Link, packet: Publish) -> None:
        nonlocal dropped
        if len(peer.published) == 50 and not dropped:
            dropped = True
            link.drop()
        elif not link.transport.is_closing():
            answer(link, packet)

    peer.on_publish = drop_once
    report = await played(fleet([limited(scripts[0], 200)], peer))
    assert report.is_clean
    assert (report.total.sent, report.total.acknowledged, report.reconnects) == (200, 200, 1)
    assert report.resent > 0
    assert len({packet.payload for packet in peer.published}) == 200


async def test_a_device_that_is_refused_for_good_is_reported(peer: Peer, scripts: list[Script]) -> None:
    script = scripts[0]
    client = Client(
        Settings(port=peer.port, client_id=script.device),
        reconnect=Backoff(Waits(first=0.001), random=Random(1)),
    )
    async with client:
        player = Player(script, client, QUICK, time.monotonic_ns)
        peer.refusal = Reason.NOT_AUTHORIZED
        peer.links[0].drop()
        async with asyncio.timeout(10):
            await player.play(time.monotonic_ns(), START)
    assert player.failure is not None
    assert "refuses the connection" in player.failure


async def test_a_fleet_of_which_one_is_refused_leaves_no_connection(
    peer: Peer, scripts: list[Script]
) -> None:
    peer.grants = 0x87
    with pytest.raises(Refused, match="not authorized"):
        await fleet(scripts, peer).__aenter__()
    await peer.until(lambda: not peer.links)


async def replay(*arguments: str) -> tuple[int | None, list[Report], str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rimward.devices.replay", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return (
        process.returncode,
        [msgspec.json.decode(line, type=Report) for line in out.splitlines()],
        err.decode(),
    )


async def test_the_command_plays_for_a_while_and_reports(peer: Peer, tmp_path: Path) -> None:
    written = tmp_path / "report.json"
    code, reports, err = await replay(
        "--port", str(peer.port), "--for", "0.5", "--speed", "max", "--only", "basic", "--watches", "3",
        "--progress", "0.1", "--report", str(written),
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert len(reports) >= 2
    assert msgspec.json.decode(written.read_bytes(), type=Report) == reports[-1]
    assert reports[-1].devices == 3
    assert reports[-1].total.sent == len(peer.published)


async def test_the_command_plays_a_file_and_ends_with_it(peer: Peer, tmp_path: Path) -> None:
    lines = tmp_path / "messages.jsonl"
    lines.write_text(LINE)
    code, reports, err = await replay(os.fspath(lines), "--port", str(peer.port), "--speed", "1000")
    assert (code, err, reports[-1].total.sent) == (0, "", 1)
    assert [(packet.topic, packet.payload) for packet in peer.published] == [("t/1", b'{"n": 1}')]


async def test_the_command_says_in_one_line_that_nobody_listens() -> None:
    port = await closed_port()
    code, reports, err = await replay("--port", str(port), "--only", "daphnet")
    assert (code, reports) == (1, [])
    assert err.startswith(f"replay: nobody answers at 127.0.0.1:{port}")
    assert err.count("\n") == 1


async def test_the_command_says_in_one_line_that_its_file_is_missing() -> None:
    code, _, err = await replay("nothing.jsonl")
    assert code == 1
    assert err.startswith("replay: can't read nothing.jsonl")
    assert "recordings:wearables" in err
