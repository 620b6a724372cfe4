"""The real recordings that ship inside the package `aeon`: where they are, and how their files read.

Only data files are read; `aeon` is never imported, so none of what it depends on is needed.
`docs/data.md` says who recorded them, in which units, and under which licence.
"""

from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from rimward.events import RimwardError

DAPHNET_HZ = 64.0
BASIC_MOTIONS_HZ = 10.0
SITES = ("ankle", "thigh", "trunk")  # of the Daphnet wearer, three channels each, in this order
GRAVITY = 9.80665  # m/s² in one g

_MOTIONS = ("ax", "ay", "az", "gx", "gy", "gz")


class RecordingError(RimwardError):
    """A recording that is not there, or not what it should be."""

    code: ClassVar[str] = "recording"


class Recording(Struct, frozen=True):
    """Samples of one body-worn device, evenly spaced."""

    name: str  # "daphnet", or "basic-00" to "basic-79"
    hz: float
    channels: tuple[str, ...]
    samples: tuple[tuple[float, ...], ...]  # by time, then by channel, in the recording's own units
    label: str | None  # what the wearer did, where that is known


def data_folder() -> Path:
    """Return the folder of the recordings.

    Raises:
        RecordingError: the package that holds them is not installed.
    """
    spec = find_spec("aeon")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(place) / "datasets" / "data"
        if folder.is_dir():
            return folder
    raise RecordingError(
        "the recordings are not installed: run './dev demo', which fetches them,"
        " or 'pip install --no-deps -r requirements-data.lock'"
    )


def daphnet(folder: Path | None = None) -> Recording:
    """Return nine channels of one wearer at 64 Hz for 110 s: ankle, thigh and trunk, in milli-g."""
    path = (folder or data_folder()) / "Daphnet_S06R02E0" / "S06R02E0.csv"
    return read_daphnet(_text(path), path.name)


def basic_motions(folder: Path | None = None) -> list[Recording]:
    """Return 80 labelled cases of 10 s at 10 Hz of a watch: m/s² without gravity, and rotation."""
    place = (folder or data_folder()) / "BasicMotions"
    cases: list[Recording] = []
    for part in ("TRAIN", "TEST"):
        path = place / f"BasicMotions_{part}.ts"
        for samples, label in read_ts(_text(path), path.name):
            cases.append(Recording(f"basic-{len(cases):02}", BASIC_MOTIONS_HZ, _MOTIONS, samples, label))
    return cases


def read_daphnet(text: str, name: str) -> Recording:
    """Return the recording of a CSV file: a header, then a time, nine channels and a flag in each line.

    Raises:
        RecordingError: the file is not one of these, or its clock is not 64 Hz.
    """
    lines = text.splitlines()
    header = lines[0].split(",") if lines else []
    if len(header) != 11 or header[0] != "timestamp" or header[-1] != "is_anomaly":
        raise RecordingError(f"{name}: the header is not a time, nine channels and a flag")
    times: list[datetime] = []
    samples: list[tuple[float, ...]] = []
    for number, line in enumerate(lines[1:], 2):
        time, *values, _ = line.split(",")
        samples.append(_numbers(values, 9, f"{name}:{number}"))
        times.append(datetime.fromisoformat(time))
    _check_clock(times, name)
    channels = tuple(f"{site}_{axis}" for site in SITES for axis in ("forward", "vertical", "lateral"))
    return Recording("daphnet", DAPHNET_HZ, channels, tuple(samples), None)


def read_ts(text: str, name: str) -> Iterator[tuple[tuple[tuple[float, ...], ...], str]]:
    """Yield samples by time, and the label, of every case in a `.ts` file of equal dimensions.

    Raises:
        RecordingError: the file is not one of these.
    """
    head, mark, body = text.partition("@data")
    facts = dict(_fact(line) for line in head.splitlines() if line.startswith("@"))
    if not mark or facts.get("classlabel", "").partition(" ")[0] != "true":
        raise RecordingError(f"{name}: no @data, or no class labels")
    dimensions, length = int(facts.get("dimensions", 1)), int(facts.get("serieslength", 0))
    labels = facts["classlabel"].split()[1:]
    first = head.count("\n") + 1
    for number, line in enumerate(body.splitlines(), first):
        if not line.strip():
            continue
        *channels, label = line.strip().split(":")
        if len(channels) != dimensions or label not in labels:
            raise RecordingError(f"{name}:{number}: {len(channels)} dimensions, label {label!r}")
        columns = [_numbers(channel.split(","), length, f"{name}:{number}") for channel in channels]
        yield tuple(zip(*columns, strict=True)), label


def _fact(line: str) -> tuple[str, str]:
    key, _, value = line[1:].partition(" ")
    return key.lower(), value.strip()


def _numbers(values: list[str], count: int, place: str) -> tuple[float, ...]:
    if len(values) != count:
        raise RecordingError(f"{place}: {len(values)} values, {count} are expected")
    try:
        return tuple([float(value) for value in values])
    except ValueError as error:
        raise RecordingError(f"{place}: {error}") from None


def _check_clock(times: list[datetime], name: str) -> None:
    """Refuse a file whose samples are not 1/64 s apart; its times are cut to whole milliseconds."""
    for n, time in enumerate(times):
        if abs((time - times[0]).total_seconds() - n / DAPHNET_HZ) > 0.001:
            raise RecordingError(f"{name}:{n + 2}: {time} is not {n} samples at 64 Hz after {times[0]}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecordingError(
            f"{path.name} is not where aeon 1.6.0 keeps it: './dev demo' installs that version"
        ) from None
