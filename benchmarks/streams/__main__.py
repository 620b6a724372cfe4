"""`./dev bench streams [--json] [--rounds N] [--readings N] [--without-peers]`."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.report import Bar, Figure, print_report, single
from benchmarks.rig.compiling import ROOT
from benchmarks.rig.installing import npm, pip
from benchmarks.rig.processes import BenchError, line_of, process
from benchmarks.streams.job import readings, windows

PATIENCE = 300.0  # seconds
PEERS = Path(__file__).parent / "peers"
BARS = {"bytewax": Bar(">=", 5.0), "node-red": Bar(">=", 2.0)}  # so many times our cost
BESIDE = {"bytewax": "alone", "node-red": "node"}  # which of ours a peer stands beside
SIMPLE = {
    "filter", "map", "deadband", "change", "throttle", "dedupe", "debounce", "ewma", "geofence", "sample",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Measure the operators, then the window job of each in turn, and print them."""
    parser = argparse.ArgumentParser(prog="./dev bench streams", description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a figure")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (default 3)")
    parser.add_argument(
        "--readings", type=int, default=60_000, metavar="N", help="of the job (default 60,000)"
    )
    parser.add_argument("--without-peers", action="store_true", help="this package alone")
    options = parser.parse_args(arguments)
    operators = [ours("operators") for _ in range(options.rounds)]
    figures = [
        single(name, "ns", [one[name] for one in operators], Bar("<=", 2_000) if name in SIMPLE else None)
        for name in operators[0]
    ]
    names = [] if options.without_peers else list(BARS)
    figures += job(names, options.rounds, options.readings)
    return print_report(
        figures, {"machine": os.uname().machine, "cpus": os.cpu_count()}, as_json=options.json
    )


def job(names: list[str], rounds: int, count: int) -> list[Figure]:
    """Return what a reading of the window job costs, and how often that peers need.

    Bytewax is a library of operators and stands beside ours alone; a Node-RED flow is a program that takes
    messages and stands beside a node, with dispatch, telemetry and windows that are kept.
    """
    own: dict[str, list[float]] = {"alone": [], "node": []}
    taken: dict[str, list[float]] = {name: [] for name in names}
    notes: dict[str, str] = {}
    for _ in range(rounds):
        for name, cost in ours("job", str(count)).items():
            own[name].append(cost)
        for name in names:
            try:
                taken[name].append(JOBS[name](count))
            except BenchError as error:
                notes[name] = str(error)
    found = [single(f"window job, {name}, a reading", "ns", costs) for name, costs in own.items()]
    for name in names:
        beside, title = own[BESIDE[name]], f"window job, {name} to {BESIDE[name]}"
        if name in notes:
            found.append(Figure(title, None, "x", BARS[name], note=notes[name]))
            continue
        ratios = [peer / mine for peer, mine in zip(taken[name], beside, strict=True)]
        spread = min(ratios), max(ratios)
        found.append(
            Figure(title, median(ratios), "x", BARS[name], spread, {name + " ns": median(taken[name])})
        )
    return found


def ours(*what: str) -> dict[str, float]:
    """Return what this package measures in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.streams.measuring", *what]
    with process(
        command, env={"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}, log=None
    ) as child:
        return msgspec.json.decode(line_of(child, PATIENCE), type=dict[str, float])


def bytewax(count: int) -> float:
    """Return what a reading costs in Bytewax, ns."""
    python = pip("bytewax") / "bin" / "python"
    with process([python, PEERS / "bytewax_job.py", str(count)], log=None) as child:
        return msgspec.json.decode(line_of(child, PATIENCE), type=dict[str, float])["job"]


def node_red(count: int) -> float:
    """Return what a reading costs in a Node-RED flow, ns."""
    program = npm("node-red", "--omit=optional") / "node_modules" / "node-red" / "red.js"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        shutil.copy(PEERS / "flows.json", folder)
        (folder / "readings").write_text("".join(f"{body.decode()}\n" for _, body in readings(count)))
        command = [shutil.which("node") or "node", program, "--settings", PEERS / "settings.cjs"]
        command += ["--userDir", folder, folder / "flows.json"]
        with process(command, env={"READINGS": str(folder / "readings")}) as child:
            while not (line := line_of(child, PATIENCE)).startswith(b'{"us"'):
                pass
    found = msgspec.json.decode(line, type=dict[str, int])
    if found["windows"] != windows(count):
        raise BenchError(f"node-red: {found['windows']} windows, {windows(count)} are right")
    return found["us"] * 1e3 / count


JOBS: dict[str, Callable[[int], float]] = {"bytewax": bytewax, "node-red": node_red}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
