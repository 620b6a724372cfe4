"""`./dev soak links [SECONDS]`: a node and its hub over links that change all the time, seed after seed.

Each round draws links from its seed: outages, half-open ones, 30 % loss in both directions or in bursts, a
round trip of 600 ms, 64 kbit/s, reordering and duplicates, while the node acknowledges rows. Then the link is
BAD, and nothing else helps: whatever was acknowledged has to be in the lake exactly once.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.distant import BAD, CLOUD, EDGE, Distant

from rimward.lab.emulator import Direction, why_not

ROUND_LINKS = 8
DRAIN = 900.0  # seconds that the rows of a round may take over the bad link; a bound, not a figure
FIRST_SEED = 100


def links(seed: int) -> list[tuple[Direction, Direction]]:
    """Return the links of a round, each with its two directions."""
    draw = random.Random(seed)
    kinds = (
        Direction(up=False),
        BAD,
        Direction(delay=0.3, loss=0.3, burst=6, rate=64_000),
        Direction(delay=0.05, jitter=0.2, reorder=0.3, duplicate=0.3, loss=0.05),
        Direction(delay=0.3, rate=64_000, queue=16_000),
    )
    found: list[tuple[Direction, Direction]] = []
    for _ in range(ROUND_LINKS):
        there, back = draw.choice(kinds), draw.choice(kinds)
        found.append((there, back if draw.random() < 0.4 else there))
    return found


def run_round(seed: int) -> str:
    """Run one round and say what it was.

    Raises:
        AssertionError: a row is missing, or there twice.
    """
    pace = random.Random(-seed)
    with tempfile.TemporaryDirectory(prefix="rimward-links-") as root, Distant(Path(root), seed) as distant:
        for there, back in links(seed):
            distant.lab.one_way(EDGE, CLOUD, there)
            distant.lab.one_way(CLOUD, EDGE, back)
            distant.send(pace.randint(20, 300))
            time.sleep(pace.uniform(0.5, 4.0))
        distant.lab.between(EDGE, CLOUD, BAD)
        begin = time.monotonic()
        while not distant.arrived():
            assert time.monotonic() - begin < DRAIN, f"not everything arrived within {DRAIN:g} s"
            time.sleep(0.5)
        took = time.monotonic() - begin
        lost = sum(one.get("lost", 0) for one in distant.lab.counters().values())
        return f"{len(distant.acknowledged)} rows, {lost} packets lost, the last row after {took:.1f} s"


def main(arguments: list[str]) -> int:
    """Run rounds until the time is over; 0 when nothing went wrong."""
    if (reason := why_not()) is not None:
        print(f"links: {reason}")
        return 1
    end = time.monotonic() + (float(arguments[0]) if arguments else 300.0)
    seed = FIRST_SEED
    while seed == FIRST_SEED or time.monotonic() < end:
        print(f"links: seed {seed}: {run_round(seed)}", flush=True)
        seed += 1
    print(f"links: {seed - FIRST_SEED} rounds, every acknowledged row once")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
