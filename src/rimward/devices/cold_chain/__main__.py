"""`python -m rimward.devices.cold_chain`: a simulated fleet that publishes, obeys, and writes down the truth.

It ends after `--for` seconds, or on SIGTERM and SIGINT, with a report in JSON; exit code 0 when every reading
was accepted.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import TextIO

import msgspec
import uvloop
from msgspec import Struct

from rimward.devices.client import Acknowledgement, Client, Settings
from rimward.devices.cold_chain import ColdChain, CommandError, Label
from rimward.devices.reconnect import Backoff
from rimward.events import RimwardError
from rimward.protocols.mqtt import Publish

DRAIN = 10.0  # seconds that the last acknowledgements may take


class Outcome(Struct):
    """What the fleet did."""

    trucks: int = 0
    readings: int = 0  # of thermometers, doors and positions
    acknowledged: int = 0
    refused: int = 0
    dropped: int = 0  # readings that found no connection, or a full window
    commands: int = 0
    bad_commands: int = 0
    labels: int = 0


class Runner:
    """A fleet with a connection for each truck."""

    def __init__(self, fleet: ColdChain, settings: Settings, labels: TextIO | None, seed: int) -> None:
        self.outcome: Outcome = Outcome(len(fleet.trucks))
        self._fleet = fleet
        self._labels = labels
        self._clients = {
            truck: Client(
                msgspec.structs.replace(settings, client_id=f"truck-{truck}"),
                reconnect=Backoff(random=Random(f"{seed}/{truck}/connection")),  # noqa: S311 (spreads attempts)
            )
            for truck in fleet.trucks
        }

    async def run(self, *, every: float, speed: float, seconds: float | None, stop: asyncio.Event) -> None:
        """Connect, and report every `every` simulated seconds until told to stop, or for that long."""
        async with AsyncExitStack() as stack:
            for truck, client in self._clients.items():
                await stack.enter_async_context(client)
                await client.subscribe(f"trucks/{truck}/chiller", self._obeying(truck))
            loop = asyncio.get_running_loop()
            start, n = loop.time(), 0
            while not stop.is_set() and (seconds is None or n * every / speed < seconds):
                self._step(every)
                n += 1
                await _wait(stop, start + n * every / speed - loop.time())
            self._write(self._fleet.going_on())
            await asyncio.gather(*[client.settle(DRAIN) for client in self._clients.values()])

    def _step(self, every: float) -> None:
        for sample in self._fleet.step(every):
            self._send(sample.truck, "temperature", sample.payload())
        for report in self._fleet.take_reports():
            self._send(report.truck, report.what, report.payload)
        self._write(self._fleet.take_labels())

    def _write(self, labels: list[Label]) -> None:
        for label in labels:
            self.outcome.labels += 1
            if self._labels is not None:
                self._labels.write(msgspec.json.encode(label).decode() + "\n")

    def _send(self, truck: str, what: str, payload: bytes) -> None:
        client = self._clients[truck]
        self.outcome.readings += 1
        if client.can_send:
            client.send(f"trucks/{truck}/{what}", payload, 1, done=self._answered)
        else:
            self.outcome.dropped += 1

    def _answered(self, answer: Acknowledgement) -> None:
        self.outcome.acknowledged += answer.accepted
        self.outcome.refused += not answer.accepted

    def _obeying(self, truck: str) -> Callable[[Publish], None]:
        def obey(message: Publish) -> None:
            self.outcome.commands += 1
            try:
                self._fleet.command(truck, message.payload)
            except CommandError:
                self.outcome.bad_commands += 1

        return obey


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
    except TimeoutError:
        return


async def _main(options: argparse.Namespace, labels: TextIO | None) -> Outcome:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    fleet = ColdChain(options.seed, options.trucks, start=time.time_ns(), drive=options.drive)
    runner = Runner(fleet, Settings(host=options.host, port=options.port), labels, options.seed)
    await runner.run(every=options.every, speed=options.speed, seconds=options.seconds, stop=stop)
    return runner.outcome


def main() -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args()
    try:
        if options.labels is None:
            outcome = uvloop.run(_main(options, None))
        else:
            with options.labels.open("w", encoding="utf-8") as labels:
                outcome = uvloop.run(_main(options, labels))
    except (RimwardError, OSError) as error:
        print(f"cold_chain: {error}", file=sys.stderr)
        return 1
    print(msgspec.json.encode(outcome).decode(), flush=True)
    return 0 if outcome.readings and outcome.acknowledged == outcome.readings else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m rimward.devices.cold_chain", description="A simulated fleet.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--trucks", type=int, default=10)
    parser.add_argument(
        "--every", type=_positive, default=10.0, help="simulated seconds between two readings"
    )
    parser.add_argument("--speed", type=_positive, default=1.0, help="simulated seconds in a second")
    parser.add_argument("--for", type=_positive, dest="seconds", metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drive", action="store_true", help="drive, and report positions and doors as well")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="write what truly happened there")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
