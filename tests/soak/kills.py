"""Kills of three nodes and their hub under load, seed after seed; then the account.

`./dev soak kills --seeds 200`: each seed kills a process at every named failpoint and, all the time, a random
one of supervisor, I/O, deep, hub, bus and ingest; some wipe the bus. After every ten seeds all that was
acknowledged has to be in the tables, once.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.e2e.load import write_app
from tests.faults import account
from tests.faults.chaos import Chaos, failpoints
from tests.faults.devices import Devices
from tests.faults.fleet import Fleet

from rimward.edge.config import OutboxConfig

PATIENCE = 6.0  # seconds that a process gets to come by its failpoint
PAUSE = 1.0  # seconds from the return of a victim to the next random kill, on average
TOGETHER = 10  # seeds between two accounts
OUTBOXES = (OutboxConfig(), OutboxConfig(keep_after_commit=0.0), OutboxConfig(keep_after_commit=5.0))


def main(arguments: list[str]) -> int:
    """Run, print what was done, and say whether the account is right."""
    parser = argparse.ArgumentParser(prog="./dev soak kills")
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first one")
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second")
    options = parser.parse_args(arguments)
    seeds = list(range(options.first, options.first + options.seeds))
    totals, kills, points = Counter[str](), Counter[str](), Counter[str]()
    for start in range(0, len(seeds), TOGETHER):
        some, began = seeds[start : start + TOGETHER], time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            result = _run(Path(folder), some, options.rate, kills, points)
        took = time.monotonic() - began
        print(f"seeds {some[0]} to {some[-1]}, {took:.0f} s: {result}", flush=True)
        for name in ("acknowledged", "sent", "resent", "rows", "extra", "lost"):
            totals[name] += getattr(result, name)
    print("\n" + str(account.Result(**totals)))
    print(f"{sum(kills.values()):,} kills: " + _told(kills))
    print(f"{sum(points.values()):,} of them at failpoints: " + _told(points))
    never = sorted(set(failpoints()) - set(points))
    if never:
        print("no process ever died at " + ", ".join(never))
    return 1 if never or not kills else 0


def _run(
    folder: Path, seeds: list[int], rate: float, kills: Counter[str], points: Counter[str]
) -> account.Result:
    with Fleet(folder / "fleet", write_app(folder), outbox=OUTBOXES) as fleet:
        with Devices(fleet.ports, each=3, rate=rate) as devices:
            for seed in seeds:
                chaos = Chaos(fleet, seed)
                chaos.run(failpoints(), patience=PATIENCE, pause=PAUSE)
                if seed % 5 == 0:
                    _wipe(fleet)
                    kills["bus, its store wiped"] += 1
                kills.update(chaos.kills)
                points.update(chaos.points)
            fleet.wait()
            assert devices.finish(), "everything is acknowledged once nothing dies any more"
        account.settle(fleet, 300.0)
        return account.check(fleet, devices.account)


def _wipe(fleet: Fleet) -> None:
    """Delete the bus's store under the running server, and again when it has gone."""
    shutil.rmtree(fleet.hub.folder / "bus", ignore_errors=True)
    fleet.hub.kill("bus")


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{times:,} {name}" for name, times in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
