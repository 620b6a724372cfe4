"""`./dev bench deep [--json] [--rounds N] [--only PART,...] [--full]`."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping

from benchmarks.deep import backlog, ingest, isolation, lake, live, outbox, uplink
from benchmarks.devices.machine import machine
from benchmarks.report import Bar, Figure, print_report
from benchmarks.rig.processes import BenchError, unwind_when_stopped

Options = argparse.Namespace
PARTS: Mapping[str, Callable[[Options], Iterable[Figure]]] = {
    "outbox": lambda options: outbox.figures(options.rounds),
    "uplink": lambda options: uplink.figures(options.rounds),
    "ingest": lambda options: ingest.figures(options.rounds + 1),
    "live": lambda options: live.figures(options.rounds),
    "growth": lambda options: lake.figures(options.rounds + 2),
    "backlog": lambda options: backlog.figures(backlog.ROWS_FULL if options.full else backlog.ROWS),
    "isolation": lambda options: isolation.figures(4 * options.rounds),
}
NOTHING = Bar(">=", 1)  # that a part which could not be measured misses


def main(arguments: list[str]) -> int:
    """Measure and print; 1 when a bar is missed. A part that can't be measured is told and misses one."""
    options = _options(arguments)
    unwind_when_stopped()
    where = machine()
    figures: list[Figure] = []
    for name in options.only:
        begin = time.monotonic()
        print(f"bench: {name}", file=sys.stderr)
        figures += _measured(name, options)
        print(f"bench: {name} took {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return print_report(figures, where, as_json=options.json)


def _measured(name: str, options: Options) -> list[Figure]:
    try:
        return list(PARTS[name](options))
    except (BenchError, AssertionError, OSError) as error:
        print(f"bench: without {name}: {error}", file=sys.stderr)
        return [Figure(name, None, "", NOTHING, note=str(error))]


def _options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="./dev bench deep", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure, the machine first")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (default 3)")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--full", action="store_true", help="a backlog of 10 million rows instead of one")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    unknown = [part for part in options.only if part not in PARTS]
    if options.rounds < 1 or unknown:
        parser.error(f"no part {', '.join(unknown)}" if unknown else "--rounds must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
