"""`./dev bench parts [--json] [--rounds N]`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.report import Figure, all_met, print_json, print_table
from benchmarks.rig.compiling import ROOT, compiled_package
from benchmarks.rig.processes import BenchError, line_of, process

PATIENCE = 120.0  # seconds


def main(arguments: list[str]) -> int:
    """Measure the parts, pure and compiled in turn, and print them."""
    parser = argparse.ArgumentParser(prog="./dev bench parts", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="rounds (default 4)")
    options = parser.parse_args(arguments)
    try:
        packages = {"pure": ROOT / "src", "compiled": compiled_package()}
    except BenchError as error:
        print(f"bench: without the compiled wheel: {error}", file=sys.stderr)
        packages = {"pure": ROOT / "src"}
    samples: dict[str, list[Mapping[str, float]]] = {name: [] for name in packages}
    for _ in range(options.rounds):
        for name, package in packages.items():
            samples[name].append(measured(package))
    figures = figures_of(samples)
    (print_json if options.json else print_table)(figures, sys.stdout)
    return 0 if all_met(figures) else 1


def measured(package: Path) -> dict[str, float]:
    """Return the parts of one package, measured in a process of its own."""
    paths = os.pathsep.join((str(package), str(ROOT)))
    with process([sys.executable, "-m", "benchmarks.parts.measuring"], env={"PYTHONPATH": paths}) as child:
        return msgspec.json.decode(line_of(child, PATIENCE), type=dict[str, float])


def figures_of(samples: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Figure]:
    """Return a figure a part: the pure package's, with the compiled one's beside it."""
    figures: list[Figure] = []
    for part in samples["pure"][0]:
        values = [sample[part] for sample in samples["pure"]]
        peers = {
            name: median(sample[part] for sample in taken)
            for name, taken in samples.items()
            if name != "pure"
        }
        figures.append(Figure(part, median(values), "ns", None, (min(values), max(values)), peers))
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
