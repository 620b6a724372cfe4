"""`./dev bench state [--json] [--rounds N] [--cells N]`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from statistics import median

import msgspec

from benchmarks.report import Figure, print_report
from benchmarks.rig.compiling import ROOT
from benchmarks.rig.processes import line_of, process

PATIENCE = 600.0  # seconds
UNITS = {"ms": "ms", "us": "µs", "mb": "MB", "ns": "ns"}


def main(arguments: list[str]) -> int:
    """Measure a node on so many cells, with some of them in memory and then with all, and print it."""
    parser = argparse.ArgumentParser(prog="./dev bench state", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (default 3)")
    parser.add_argument("--cells", type=int, default=1_000_000, metavar="N", help="(default 1,000,000)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        taken: dict[str, list[Mapping[str, float]]] = {"some": [], "all": []}
        ours("fill", folder, options.cells)
        for _ in range(options.rounds):
            taken["some"].append(ours("some", folder, options.cells))
            taken["all"].append(ours("all", folder, options.cells))
    machine = {"machine": os.uname().machine, "cpus": os.cpu_count(), "cells": options.cells}
    return print_report(figures_of(taken["some"], taken["all"]), machine, as_json=options.json)


def figures_of(
    some: Sequence[Mapping[str, float]], everything: Sequence[Mapping[str, float]]
) -> list[Figure]:
    """Return a figure for each of what was measured, beside it what it is with all cells in memory."""
    figures: list[Figure] = []
    for name in some[0]:
        title, _, unit = name.rpartition(", ")
        values = [one[name] for one in some]
        peers = {"all in memory": median(one[name] for one in everything)} if name in everything[0] else {}
        figures.append(Figure(title, median(values), UNITS[unit], None, (min(values), max(values)), peers))
    return figures


def ours(what: str, folder: str, cells: int) -> dict[str, float]:
    """Return what a process of its own measures."""
    command = [sys.executable, "-m", "benchmarks.state.measuring", what, folder, str(cells)]
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    with process(command, env={"PYTHONPATH": paths}, log=None) as child:
        return msgspec.json.decode(line_of(child, PATIENCE), type=dict[str, float])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
