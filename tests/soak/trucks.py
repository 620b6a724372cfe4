"""`./dev soak trucks [SEEDS]`: fleets of the cold chain, each judged by what truly happened to it.

Three trucks drive for three hours while their node is killed every ten minutes. Everything that happened has
to be told, once, and nothing else.
"""

import asyncio
import sys

from examples.cold_chain.app import app
from tests.examples.judging import START, differences, drive, expected, told

from rimward.devices.cold_chain import ColdChain
from rimward.events import to_ns
from rimward.testing import Site

SEEDS = 20
TRUCKS, SECONDS, KILL_EVERY = 3, 10_800, 600


async def run(seed: int) -> list[str]:
    """Return what is wrong with what one fleet's app told."""
    fleet = ColdChain(seed, TRUCKS, start=to_ns(START), drive=True)
    async with Site(app, start=START, seed=seed) as site:
        truth = await drive(site, fleet, SECONDS, kill_every=KILL_EVERY)
        should, alarms = expected(truth, to_ns(site.now)), told(site)
        wrong = differences(alarms, should) + [f"raised: {error!r}" for error in site.errors]
        wrong += [] if site.ledger.balanced() else ["the ledger does not balance"]
        must = sum(one.must for one in should)
        print(f"trucks: seed {seed}: {must} of {len(should)} had to be told, {len(alarms)} were", flush=True)
    return wrong


def main(arguments: list[str]) -> int:
    """Run as many fleets as asked for; 0 when nothing went wrong."""
    seeds = int(arguments[0]) if arguments else SEEDS
    failed = 0
    for seed in range(1, seeds + 1):
        wrong = asyncio.run(run(seed))
        for one in wrong:
            print(f"trucks: seed {seed}: {one}")
        failed += bool(wrong)
    print(f"trucks: {seeds} fleets, {failed} with something wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
