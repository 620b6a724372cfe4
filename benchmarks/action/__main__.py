"""`./dev bench action [--json] [--quick] [--rounds N] [--peers a,b]`."""

import argparse
import sys

from benchmarks.action.figures import LIMIT, OURS, RIVAL, action_figures, footprint_figures
from benchmarks.action.footprint import idle_mb, ready_ms
from benchmarks.report import all_met, print_json, print_table
from benchmarks.rig.cells import loads, measure
from benchmarks.rig.processes import BenchError, unwind_when_stopped
from benchmarks.rig.servers import SERVERS


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when a bar is missed or Rimward can't be measured."""
    options = _options(arguments)
    unwind_when_stopped()
    servers = [OURS, *options.peers]
    try:
        samples = measure(servers, options.rounds, loads(quick=options.quick))
        ready = [ready_ms() for _ in range(1 + options.rounds)][1:]  # the first may compile bytecode
        idle = [idle_mb() for _ in range(1 if options.quick else 2)]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    figures = action_figures(samples) + footprint_figures(ready, idle)
    (print_json if options.json else print_table)(figures, sys.stdout)
    return 0 if all_met(figures) else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    peers = ", ".join(name for name in SERVERS if name != OURS)
    parser = argparse.ArgumentParser(prog="./dev bench action", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    parser.add_argument(
        "--quick", action="store_true", help="one short round beside the C loop: a smoke test"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (default 4)")
    parser.add_argument("--peers", metavar="NAME,...", help=f"of {peers}")
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 1 if options.quick else 4
    options.peers = (options.peers or (LIMIT if options.quick else f"{LIMIT},{RIVAL}")).split(",")
    unknown = [name for name in options.peers if name not in SERVERS or name == OURS]
    if options.rounds < 1 or unknown:
        parser.error(f"no peer {', '.join(unknown)}" if unknown else "--rounds must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
