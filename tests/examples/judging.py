"""Driving the cold chain's app by the simulated fleet, and judging what it told by what truly happened."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from examples.cold_chain.app import DoorAlarm, Silent, TooWarm, Visit

from rimward.devices.cold_chain import ColdChain, Label
from rimward.events import from_ns, to_ns
from rimward.testing import Site

START = datetime(2026, 1, 1, 6, tzinfo=UTC)
STEP = 20  # seconds between two reports of a truck
SECOND = 1_000_000_000  # ns
EXACT = 1_000  # ns: times are told in microseconds
TOLD_BY = 300 * SECOND  # ns after which whatever is told is


class Told(NamedTuple):
    """An alarm, or what should have been one."""

    truck: str
    kind: str
    at: int  # ns since the epoch


async def drive(site: Site, fleet: ColdChain, seconds: int, *, kill_every: int | None = None) -> list[Label]:
    """Let a fleet drive for so long, obey its chillers, and kill the node now and then; return the truth."""
    commands = site.inbox("trucks/+/chiller")
    for second in range(STEP, seconds + 1, STEP):
        await site.advance(timedelta(seconds=STEP))
        samples = fleet.step(STEP)
        for report in fleet.take_reports():
            await site.device(report.truck).publish(
                f"trucks/{report.truck}/{report.what}", report.payload, qos=1
            )
        for sample in samples:
            await site.device(sample.truck).publish(
                f"trucks/{sample.truck}/temperature", sample.payload(), qos=1
            )
        for message in commands.messages:
            fleet.command(message.topic.split("/")[1], message.payload)
        commands.clear()
        if kill_every is not None and second % kill_every == 0:
            await site.kill9()
    await site.settle()
    return fleet.take_labels() + fleet.going_on()


def told(site: Site) -> list[Told]:
    """Return the alarms and visits in the lake."""
    found = [Told(row.truck, row.what, to_ns(row.opened)) for row in site.rows(DoorAlarm)]
    found += [Told(row.truck, "silent", to_ns(row.since)) for row in site.rows(Silent)]
    found += [Told(row.truck, f"visit {row.place}", to_ns(row.at)) for row in site.rows(Visit)]
    warm = site.lake.table(TooWarm)
    trucks, times = warm.column("truck").to_pylist(), warm.column("_time").to_pylist()
    return found + [Told(truck, "warm", to_ns(at)) for truck, at in zip(trucks, times, strict=True)]


class Expected(NamedTuple):
    """What the truth makes of one alarm: it must be told, or only may, from a time to another."""

    truck: str
    kind: str
    first: int  # ns since the epoch
    last: int
    must: bool


def expected(labels: Iterable[Label], until: int) -> list[Expected]:
    """Return what should be told of what truly happened, as far as it can have been told by `until`."""
    found: list[Expected] = []
    for label in labels:
        if label.kind in {"door", "failure"}:  # what happens at each stop, and what shows as warm air
            continue
        kind, first, last, lasts = _told_as(label)
        if first <= until:
            must = lasts and last + TOLD_BY <= until
            found.append(Expected(label.truck, kind, first, last, must=must))
    return found


def differences(told: Iterable[Told], expected: Iterable[Expected]) -> list[str]:
    """Return what was told without a reason, or twice, and what should have been told and was not."""
    open_, wrong = list(expected), list[str]()
    for one in sorted(told):
        for other in open_:
            if one[:2] == other[:2] and other.first <= one.at <= other.last:
                open_.remove(other)
                break
        else:
            wrong.append(f"false alarm: {one.kind} of truck {one.truck} at {_clock(one.at)}")
    return wrong + [
        f"missed: {one.kind} of truck {one.truck} from {_clock(one.first)}" for one in open_ if one.must
    ]


def _clock(at: int) -> str:
    return f"{from_ns(at):%H:%M:%S}"


def _told_as(label: Label) -> tuple[str, int, int, bool]:
    """Return as what, from when and until when a label is told, and whether it must be.

    A reading comes every twenty seconds with a noise of 0.05 K, so a thermometer that is silent for about two
    minutes, or air that is too warm for less than four, may be told or not.
    """
    start, end = label.start, label.end
    slack, lasts = 2 * STEP * SECOND, (label.end - label.start) // SECOND
    match label.kind:
        case "left-open":
            return "left open", start - EXACT, start + EXACT, True
        case "on-the-road":
            return "opened on the road", start - EXACT, start + EXACT, True
        case "dropout":
            return "silent", start - slack, start, lasts >= 160
        case "visit":
            arrived = start + 120 * SECOND
            return f"visit {label.place}", arrived - 60 * SECOND, arrived + 60 * SECOND, lasts >= 200
        case _:
            return label.kind, start + 120 * SECOND - slack, end + slack, lasts >= 240
