"""`python -m rimward.devices.simulate MANIFEST N`: plausible devices of an app, until SIGTERM or SIGINT.

The manifest tells everything; the app is not imported. On stdout, at the end, one JSON line: what was sent.
"""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from rimward.app.manifest import decode
from rimward.devices.client import Settings
from rimward.devices.replay import Fleet, Pace, Report
from rimward.devices.simulate import simulated
from rimward.events import RimwardError

DRAIN = 5.0  # seconds that the last acknowledgements may take


def main() -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args()
    try:
        report = uvloop.run(_play(options))
    except (RimwardError, OSError, msgspec.MsgspecError) as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(report).decode(), flush=True)
    for device, why in report.failures.items():
        print(f"simulate: device {device}: {why}", file=sys.stderr)
    return 1 if report.failures else 0


async def _play(options: argparse.Namespace) -> Report:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    manifest = decode(await asyncio.to_thread(options.manifest.read_bytes))
    scripts = simulated(manifest, options.devices, seed=options.seed, rate=options.rate)
    settings, pace = Settings(host=options.host, port=options.port), Pace(qos=options.qos)
    async with Fleet(scripts, settings, pace=pace, seed=options.seed, now=time.monotonic_ns) as fleet:
        fleet.start(time.time_ns())
        await stop.wait()
        await fleet.drain(DRAIN)
        return fleet.report()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m rimward.devices.simulate", description="Plausible devices.")
    parser.add_argument("manifest", type=Path, help="an app's manifest")
    parser.add_argument("devices", type=int, help="how many")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--rate", type=float, default=1.0, help="messages a second of each (default 1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--qos", type=int, choices=[0, 1], default=1)
    return parser


if __name__ == "__main__":
    sys.exit(main())
