"""Kills, wiped buses and power cuts for as long as you like; then the account."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.load import Load, Message, check, write_app
from tests.e2e.running import Dev
from tests.faults.powerloss import Disk, compiler

ROUND = 60.0  # seconds between two power cuts
VICTIMS = ("node", "deep", "hub", "ingest", "bus", "bus wiped")


def main(arguments: list[str]) -> int:
    """Run, print what was done to it, and say whether the account is right."""
    parser = argparse.ArgumentParser(prog="./dev soak")
    parser.add_argument("seconds", nargs="?", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    for program in ("mosquitto_pub",):
        if shutil.which(program) is None:
            print(f"needs {program}: apt-get install mosquitto-clients", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory() as folder:
        _Soak(Path(folder), random.Random(options.seed)).run(options.seconds)
    return 0


class _Soak:
    def __init__(self, folder: Path, dice: random.Random) -> None:
        self._folder = folder
        self._dice = dice
        self._app = write_app(folder)
        self._sent: set[Message] = set()
        self._acknowledged: set[Message] = set()
        self._kills: dict[str, int] = {}

    def run(self, seconds: float) -> None:
        """Go from power cut to power cut."""
        end, data, number = time.monotonic() + seconds, self._folder / "data0", 0
        data.mkdir()
        while True:
            last = time.monotonic() + ROUND >= end
            disk = Disk(self._folder / f"scratch{number}", data) if compiler() else None
            with Dev(self._app, data, environment=disk.environment() if disk else None) as dev:
                self._disturb(dev, number, min(end, time.monotonic() + ROUND))
                if last or disk is None:
                    check(dev, self._sent, self._acknowledged)
                    if last:
                        break
                else:
                    dev.cut_power()
                    self._kills["power"] = self._kills.get("power", 0) + 1
            number += 1
            if disk is not None:
                data = disk.rebuilt(self._folder / f"data{number}")
        print(
            f"{len(self._acknowledged):,} acknowledged of {len(self._sent):,} sent, all of them rows; ",
            end="",
        )
        print(", ".join(f"{count} times {name}" for name, count in sorted(self._kills.items())))

    def _disturb(self, dev: Dev, number: int, end: float) -> None:
        """Kill at random under load until the time is over."""
        with Load(dev.ready["mqtt"], devices=3, name=f"r{number}m") as load:
            while time.monotonic() < end:
                time.sleep(self._dice.uniform(0.1, 3))
                victim = self._dice.choice(VICTIMS)
                dev.kill(victim.split()[0])
                if victim == "bus wiped":  # under the running server, and again when it has gone
                    shutil.rmtree(dev.data / "bus", ignore_errors=True)
                    dev.kill("bus")
                self._kills[victim] = self._kills.get(victim, 0) + 1
        self._sent |= load.sent
        self._acknowledged |= load.acknowledged
        print(f"round {number}: {len(load.acknowledged):,} acknowledged; so far {self._kills}", flush=True)
