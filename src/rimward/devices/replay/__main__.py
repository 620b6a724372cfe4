"""`python -m rimward.devices.replay`: play recordings against a node, and report.

On stdout, JSON lines: a report every `--progress` seconds, and the last at the end. It ends after `--for`
seconds, at the end of its file, or on SIGTERM and SIGINT; exit code 0 when all that was sent was accepted.
"""

import argparse
import asyncio
import signal
import sys
import time
from math import inf
from pathlib import Path

import msgspec
import uvloop

from rimward.devices import recordings
from rimward.devices.client import Settings
from rimward.devices.recordings import RecordingError
from rimward.devices.replay import Fleet, Pace, Report, Script, from_lines, wearables
from rimward.events import RimwardError

DRAIN = 10.0  # seconds that the last acknowledgements may take
WEARABLES = "recordings:wearables"


def main() -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args()
    try:
        scripts = _scripts(options)
        report = uvloop.run(_play(scripts, options))
    except RimwardError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    line = msgspec.json.encode(report).decode()
    print(line, flush=True)
    if options.report is not None:
        options.report.write_text(line + "\n")
    for device, why in report.failures.items():
        print(f"replay: {device}: {why}", file=sys.stderr)
    return 0 if report.is_clean else 1


async def _play(scripts: list[Script], options: argparse.Namespace) -> Report:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = Settings(host=options.host, port=options.port, version=options.version, window=options.window)
    pace = Pace(speed=options.speed, qos=options.qos)
    async with Fleet(scripts, settings, pace=pace, seed=options.seed, now=time.monotonic_ns) as fleet:
        fleet.start(_event_start(options))
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(fleet.finished())]
        reporter = asyncio.create_task(_progress(fleet, options.progress))
        await asyncio.wait(ends, timeout=options.seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (*ends, reporter):
            task.cancel()
        await fleet.drain(DRAIN)
        return fleet.report()


async def _progress(fleet: Fleet, every: float | None) -> None:
    while every is not None:
        await asyncio.sleep(every)
        print(msgspec.json.encode(fleet.report()).decode(), flush=True)


def _event_start(options: argparse.Namespace) -> int:
    """Return the time, ns, at which the recording begins, so that a fast one ends now, not in the future."""
    ahead = 0.0
    if options.seconds is not None and options.speed != inf:
        ahead = max(0.0, options.speed - 1) * options.seconds
    return time.time_ns() - round(ahead * 1e9)


def _scripts(options: argparse.Namespace) -> list[Script]:
    if options.source != WEARABLES:
        path = Path(options.source)
        try:
            return from_lines(path.read_text(encoding="utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise RecordingError(
                f"can't read {path}: {error}; `{WEARABLES}` plays what is built in"
            ) from None
    gait = recordings.daphnet() if options.only != "basic" else None
    cases = recordings.basic_motions() if options.only != "daphnet" else []
    return wearables(gait, cases, seed=options.seed, watches=options.watches)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m rimward.devices.replay", description="Recordings as devices.")
    parser.add_argument("source", nargs="?", default=WEARABLES, help="%(default)s, or a file of JSON lines")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--speed", type=_speed, default=1.0, help="recorded seconds in a second, or max")
    parser.add_argument("--for", type=_positive, dest="seconds", metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1, help="which cases play, and from where")
    parser.add_argument("--only", choices=["basic", "daphnet"])
    parser.add_argument("--watches", type=int, default=12, help="of the 80 cases (default 12)")
    parser.add_argument("--qos", type=int, choices=[0, 1], default=1)
    parser.add_argument("--version", type=int, choices=[4, 5], default=5, help="of MQTT; 4 is 3.1.1")
    parser.add_argument("--window", type=int, default=64, help="messages unacknowledged, per device")
    parser.add_argument("--progress", type=_positive, metavar="SECONDS", help="report so often")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the last report there too")
    return parser


def _speed(text: str) -> float:
    return inf if text == "max" else _positive(text)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
