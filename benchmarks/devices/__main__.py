"""`./dev bench devices [--json] [--rounds N] [--only PART,...]`."""

import argparse
import sys
from collections.abc import Callable, Mapping

from benchmarks.action.footprint import ready_ms
from benchmarks.devices.crowds import crowds, fans
from benchmarks.devices.figures import (
    COMPILED,
    LIMIT,
    PEERS,
    PURE,
    crowd_figures,
    event_figures,
    peer_figures,
    web_figures,
)
from benchmarks.devices.http import web
from benchmarks.devices.inside import match_us, telemetry_us
from benchmarks.devices.machine import machine
from benchmarks.report import Bar, Figure, print_report, single
from benchmarks.rig.cells import BUSY, BUSY_SURE, DEEP, ONE, loads, measure
from benchmarks.rig.compiling import node_python
from benchmarks.rig.processes import BenchError, unwind_when_stopped


def _events(rounds: int) -> list[Figure]:
    ours, everybody = (PURE, LIMIT, COMPILED), (PURE, LIMIT, COMPILED, *PEERS)
    wanted = {name: load for name, load in loads(quick=False).items() if name in {BUSY, BUSY_SURE, DEEP, ONE}}
    samples = measure(everybody, rounds, wanted, {ONE: ours, DEEP: ours})
    return event_figures(samples) + peer_figures(samples)


def _crowds(rounds: int) -> list[Figure]:
    return crowd_figures(fans(rounds, 1000), crowds(max(2, rounds // 2)))


def _web(rounds: int) -> list[Figure]:
    return web_figures(web(rounds, 2))


def _inside(rounds: int) -> list[Figure]:
    ready = [ready_ms(node_python()) for _ in range(1 + 2 * rounds)][1:]  # the first fills the page cache
    return [
        single("start to CONNACK", "ms", ready, Bar("<=", 150)),
        single("match, 100,000 subscriptions", "us", match_us(rounds), Bar("<=", 3.0)),
        single("telemetry an event", "us", telemetry_us(rounds), Bar("<=", 2.0)),
    ]


PARTS: Mapping[str, Callable[[int], list[Figure]]] = {
    "events": _events,
    "crowds": _crowds,
    "http": _web,
    "inside": _inside,
}


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when a bar is missed or Rimward can't be measured."""
    options = _options(arguments)
    unwind_when_stopped()
    where = machine()
    try:
        figures = [figure for part in options.only for figure in PARTS[part](options.rounds)]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return print_report(figures, where, as_json=options.json)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench devices", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure, the machine first")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="rounds (default 4)")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...", help=f"of {', '.join(PARTS)}")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    unknown = [part for part in options.only if part not in PARTS]
    if options.rounds < 1 or unknown:
        parser.error(f"no part {', '.join(unknown)}" if unknown else "--rounds must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
