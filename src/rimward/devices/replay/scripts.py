"""What each device will say, and when: from the recordings of wearables, or from a file of messages.

A recording goes on for ever: at its end it starts over, while its times go on. Its devices publish on
`wearers/{wearer}/motion` what they measure, in units of g, and listen on `wearers/{wearer}/buzz`. The three
places of the Daphnet wearer are devices of their own; every case of BasicMotions is a watch.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain, count, zip_longest
from random import Random
from typing import NamedTuple

import msgspec
from msgspec import Struct

from rimward.devices.recordings import GRAVITY, SITES, Recording, RecordingError
from rimward.events import from_ns

WATCHES = 12  # of the 80 cases, as many of each activity as there can be
MILLI = 1000.0  # the Daphnet sensors count thousandths of g

Axes = tuple[float, float, float]


class Step(NamedTuple):
    """One message of a device."""

    at: float  # seconds after the start, at speed 1
    topic: str
    payload: bytes
    key: int | None  # event time, us, by which an answer is matched; None has no answer


class Script(Struct, frozen=True):
    """One device: who it is, what it says, and where it listens."""

    device: str
    steps: Callable[[int], Iterator[Step]]  # for the start's event time, ns since the epoch
    listens: str | None = None  # topic of its actions


class Motion(Struct, frozen=True, gc=False):
    """What a wearable publishes; x, y and z in units of g."""

    at: datetime
    x: float
    y: float
    z: float


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a file of messages."""

    device: str
    topic: str
    payload: msgspec.Raw
    t: float  # seconds after the start


def wearables(
    gait: Recording | None, cases: Sequence[Recording], *, seed: int, watches: int = WATCHES
) -> list[Script]:
    """Return the devices of one wearer's gait recording and of as many watches."""
    random = Random(seed)  # noqa: S311 (which cases play, and from where; nothing secret)
    scripts: list[Script] = []
    for place, site in enumerate(SITES if gait is not None else ()):
        assert gait is not None
        axes = [_in_g(row[3 * place : 3 * place + 3], MILLI, 3) for row in gait.samples]
        scripts.append(_wearable(f"daphnet-{site}", axes, gait.hz, random.random()))
    for case in _mixed(cases, random)[:watches]:
        axes = [_in_g(row, GRAVITY, 4) for row in case.samples]
        scripts.append(_wearable(case.name.replace("basic", "watch"), axes, case.hz, random.random()))
    return scripts


def from_lines(text: str, name: str) -> list[Script]:
    """Return the devices of a file: JSON lines of `{"device", "topic", "payload", "t"}`, played once.

    A payload that is a JSON string is sent as its text, everything else as the JSON that it is.

    Raises:
        RecordingError: a line is none of these.
    """
    steps: dict[str, list[Step]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            device, step = _line(line, f"{name}:{number}")
            steps.setdefault(device, []).append(step)
    if not steps:
        raise RecordingError(f"{name}: no messages in it")
    for mine in steps.values():
        mine.sort(key=lambda step: step.at)
    return [Script(device, lambda _start, mine=mine: iter(mine)) for device, mine in steps.items()]


def _wearable(wearer: str, axes: Sequence[Axes], hz: float, phase: float) -> Script:
    """`phase` is the part of a sample's time by which this device's clock is off the others'."""
    topic = f"wearers/{wearer}/motion"

    def steps(start: int) -> Iterator[Step]:
        for n in count():
            seconds = (n + phase) / hz
            time = start + round(seconds * 1_000_000_000)
            payload = msgspec.json.encode(Motion(from_ns(time), *axes[n % len(axes)]))
            yield Step(seconds, topic, payload, time // 1000)

    return Script(wearer, steps, f"wearers/{wearer}/buzz")


def _in_g(row: Sequence[float], unit: float, places: int) -> Axes:
    return (round(row[0] / unit, places), round(row[1] / unit, places), round(row[2] / unit, places))


def _mixed(cases: Sequence[Recording], random: Random) -> list[Recording]:
    """Return the cases so that the first few hold every activity."""
    shuffled = random.sample(cases, len(cases))
    labels = sorted({case.label or "" for case in cases})
    by_label = [[case for case in shuffled if (case.label or "") == label] for label in labels]
    return [case for case in chain.from_iterable(zip_longest(*by_label)) if case is not None]


def _line(line: str, place: str) -> tuple[str, Step]:
    try:
        decoded = msgspec.json.decode(line, type=Line)
        payload = bytes(decoded.payload)
        if payload.startswith(b'"'):
            payload = msgspec.json.decode(payload, type=str).encode()
    except msgspec.DecodeError as error:
        raise RecordingError(f"{place}: {error}") from None
    if not decoded.topic or not decoded.device or not 0 <= decoded.t < float("inf"):
        raise RecordingError(f"{place}: a device, a topic and a time from 0 on are needed")
    return decoded.device, Step(decoded.t, decoded.topic, payload, None)
