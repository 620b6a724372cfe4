"""`./dev bench functions [--json]`: calls on the loop and in processes of their own."""

import argparse
import sys

import uvloop

from benchmarks.functions import wasm, workers
from benchmarks.report import print_report


def main(arguments: list[str]) -> int:
    """Measure and report; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="./dev bench functions", description=__doc__)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each figure")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    found = uvloop.run(workers.figures(options.rounds)) + wasm.figures(options.rounds)
    return print_report(found, workers.machine(), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
