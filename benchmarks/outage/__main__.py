"""`./dev bench outage [--json] [--events N] [--peers a,b]`."""

import argparse
import sys
import time

from msgspec import Struct

from benchmarks.outage.device import publish
from benchmarks.outage.edges import EDGES, OURS, TOPIC, Edge
from benchmarks.report import Bar, Figure, all_met, print_json, print_table
from benchmarks.rig.processes import BenchError, unwind_when_stopped

RATE = 1_000.0  # events a second
FIRST = 1_000
MARK = 10_000_000  # numbers from here on are published when the cloud is back
QUIET = 2.0  # seconds without news after which the rest counts as lost
PATIENCE = 60.0  # seconds until something arrives
KILLED = {False: "edge untouched", True: "edge killed -9"}


class Outcome(Struct, frozen=True):
    """What became of events that were acknowledged in the outage."""

    acknowledged: int
    lost: int
    doubled: int  # events that arrived more than once


def outage(edge: Edge, count: int, *, kill: bool) -> Outcome:
    """Take the cloud away, publish, bring it back, and count.

    Raises:
        BenchError: an event was not acknowledged, or nothing arrives at all.
    """
    _arrives(edge, 0)
    edge.cloud_away()
    numbers = range(FIRST, FIRST + count)
    publish(edge.port, TOPIC, numbers, RATE)
    if kill:
        edge.kill()
    edge.cloud_back()
    _arrives(edge, MARK)
    found = edge.arrived(QUIET)
    return Outcome(
        count, sum(not found[number] for number in numbers), sum(found[number] > 1 for number in numbers)
    )


def _arrives(edge: Edge, first: int) -> None:
    """Publish numbers until one of them is in the cloud: the way is open then."""
    end = time.monotonic() + PATIENCE
    number = first
    while not any(one >= first for one in edge.arrived(0.2) if one < FIRST or one >= MARK):
        if time.monotonic() > end:
            raise BenchError(f"nothing arrives in the cloud within {PATIENCE:.0f} s")
        publish(edge.port, TOPIC, range(number, number + 1), RATE)
        number += 1
        time.sleep(0.3)


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when Rimward lost or doubled an event."""
    options = _options(arguments)
    unwind_when_stopped()
    found: dict[bool, dict[str, Outcome]] = {False: {}, True: {}}
    for name in [OURS, *options.peers]:
        for kill, outcomes in found.items():
            print(f"bench: {name}, {KILLED[kill]}", file=sys.stderr)
            try:
                with EDGES[name]() as edge:
                    outcomes[name] = outage(edge, options.events, kill=kill)
            except (BenchError, AssertionError) as error:
                print(f"bench: without {name}: {error}", file=sys.stderr)
    figures = figures_of(found)
    if options.json:
        print_json(figures, sys.stdout)
    else:
        _print_outcomes(found)
        print_table(figures, sys.stdout)
    return 0 if all_met(figures) else 1


def figures_of(found: dict[bool, dict[str, Outcome]]) -> list[Figure]:
    """Return what Rimward loses and doubles, with the others' beside it."""
    figures: list[Figure] = []
    for kill, outcomes in found.items():
        for what in ("lost", "doubled"):
            values = {name: float(getattr(one, what)) for name, one in outcomes.items()}
            ours = values.pop(OURS, None)
            name = f"acknowledged events {what}, {KILLED[kill]}"
            figures.append(Figure(name, ours, "", Bar("<=", 0), peers=values))
    return figures


def _print_outcomes(found: dict[bool, dict[str, Outcome]]) -> None:
    print(f"{'edge':28} {'':16} {'acknowledged':>12} {'lost':>7} {'doubled':>7}")
    for kill, outcomes in found.items():
        for name, one in outcomes.items():
            print(f"{name:28} {KILLED[kill]:16} {one.acknowledged:12,} {one.lost:7,} {one.doubled:7,}")


def _options(arguments: list[str]) -> argparse.Namespace:
    peers = [name for name in EDGES if name != OURS]
    parser = argparse.ArgumentParser(prog="./dev bench outage", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    parser.add_argument(
        "--events", type=int, default=5_000, metavar="N", help="in each outage (default 5000)"
    )
    parser.add_argument("--peers", metavar="WORD,...", help=f"whose names begin so, of {', '.join(peers)}")
    options = parser.parse_args(arguments)
    if options.peers is not None:
        words = tuple(options.peers.split(","))
        peers = [name for name in peers if name.startswith(words)]
        if not peers:
            parser.error(f"no peer begins with {' or '.join(words)}")
    options.peers = peers
    if not 1 <= options.events <= MARK - FIRST:
        parser.error(f"--events must be from 1 to {MARK - FIRST:,}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
