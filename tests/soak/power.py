"""Power cuts of three nodes and their hub under load, for as many seeds as you like; then the account.

`./dev soak power --seeds 50`: at each, the power of one machine, of some or of all is cut at a random moment.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.e2e.load import write_app
from tests.faults import account
from tests.faults.devices import Devices
from tests.faults.fleet import Fleet
from tests.faults.power import Grid
from tests.faults.powerloss import compiler

TOGETHER = 10  # cuts between two accounts
RATE = 200.0  # events a second: each sync copies a file


def main(arguments: list[str]) -> int:
    """Run, print what was done, and say whether the account is right."""
    parser = argparse.ArgumentParser(prog="./dev soak power")
    parser.add_argument("--seeds", type=int, default=50, help="how many cuts")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    options = parser.parse_args(arguments)
    if compiler() is None:
        print("needs a C compiler: apt-get install gcc libc6-dev", file=sys.stderr)
        return 1
    cuts, acknowledged = Counter[str](), 0
    for first in range(options.first, options.first + options.seeds, TOGETHER):
        number = min(TOGETHER, options.first + options.seeds - first)
        began, last = time.monotonic(), first + number - 1
        with tempfile.TemporaryDirectory() as folder:
            result = _run(Path(folder), first, number, cuts)
        acknowledged += result.acknowledged
        print(f"seeds {first} to {last}, {time.monotonic() - began:.0f} s: {result}", flush=True)
    print(f"\n{acknowledged:,} acknowledged, all of them rows; {sum(cuts.values()):,} power cuts: ", end="")
    print(", ".join(f"{times} {name}" for name, times in sorted(cuts.items())))
    return 0 if cuts else 1


def _run(folder: Path, first: int, number: int, cuts: Counter[str]) -> account.Result:
    grid = Grid(folder, first)
    fleet = Fleet(folder / "fleet", write_app(folder), env=grid.env)
    grid.switch_on(fleet)
    with fleet:
        with Devices(fleet.ports, each=2, rate=RATE) as devices:
            for seed in range(first, first + number):
                dice = random.Random(seed)
                time.sleep(dice.uniform(0.0, 3.0))
                devices.more(10)
                grid.cut(*dice.sample(fleet.machines, dice.choice((1, 1, 2, len(fleet.machines)))))
            assert devices.finish(), "everything is acknowledged once the power stays"
        account.settle(fleet, 300.0)
        cuts.update(grid.cuts)
        return account.check(fleet, devices.account)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
