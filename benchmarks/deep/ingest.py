# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Ingest alone: `python -m benchmarks.deep.ingest [--rows N] [--folder PATH]`.

Envelopes of 500 rows, sealed beforehand, are unsealed and committed in one process with fsync on, as many at
once as in a backlog. Rates are of rows whose mark could be announced.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from benchmarks.report import Bar, Figure, print_table, single
from rimward.app.facts import fingerprint
from rimward.app.manifest import Column, FactSpec
from rimward.cloud.envelopes import Envelope
from rimward.cloud.ingest import Ingest
from rimward.wire import Epoch, Header, Lane, Row, encode, unseal

ROWS = 500  # of an envelope
COMMIT = 128  # envelopes of a commit, as in a backlog
BEGIN = 1_790_000_000_000_000_000  # ns, about the year 2026
COLUMNS = (Column("truck", "string"), Column("celsius", "float64"), Column("door", "bool"))
SPEC = FactSpec("Reading", "reading", "normal", None, COLUMNS, fingerprint("Reading", COLUMNS))
LANE = Lane("node-1", Epoch(1, 7), SPEC.table)


class Taken(Struct):
    """What was measured of some commits."""

    rows: int  # the last one's number
    rate: float  # rows a second
    cpu: float  # us of all threads, a row
    commits: list[float]  # seconds each


def envelopes(first: int, count: int) -> Iterator[bytes]:
    """Return sealed envelopes that follow each other; `first` is the first row's number."""
    chance = random.Random(first)
    for start in range(first, first + count * ROWS, ROWS):
        rows = [
            Row(
                seq, BEGIN + seq, f"{chance.getrandbits(64):016x}", None, "synced", replayed=False,
                trace=None, values=(f"truck-{seq % 50}", round(chance.uniform(-20, 9), 2), False), mono=seq,
            )
            for seq in range(start, start + ROWS)
        ]  # fmt: skip
        yield encode(Header(SPEC.fingerprint, "normal", start, start + ROWS - 1, BEGIN), rows)


def measure(ingest: Ingest, first: int, count: int, at_once: int = COMMIT) -> Taken:
    """Take so many envelopes from row `first` on."""
    sealed = list(envelopes(first, count))
    times: list[float] = []
    begin, cpu = time.perf_counter(), time.process_time()
    for start in range(0, count, at_once):
        before = time.perf_counter()
        batch = [Envelope(LANE, *unseal(one)) for one in sealed[start : start + at_once]]
        ingest.take(SPEC.table, batch)
        times.append(time.perf_counter() - before)
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    rows = count * ROWS
    return Taken(first + rows - 1, rows / took, cpu / rows * 1e6, times)


def figures(rounds: int, most: int = 256_000, folder: Path | None = None) -> list[Figure]:
    """Measure rounds of so many rows; a process's first commit does not count."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as scratch:
        ingest = Ingest(Path(scratch) / "lake", (SPEC,), time.time_ns)
        last = measure(ingest, 1, COMMIT).rows
        found: list[Taken] = []
        for _ in range(rounds):
            found.append(measure(ingest, last + 1, most // ROWS))
            last = found[-1].rows
    note = f"one process, commits of {COMMIT * ROWS:,} rows"
    return [
        single("ingest, on stable storage", "/s", [one.rate for one in found], Bar(">=", 200_000), note),
        single("CPU of ingest a row", "µs", [one.cpu for one in found]),
    ]


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep.ingest")
    parser.add_argument("--rows", type=int, default=256_000, help="of each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one without it")
    options = parser.parse_args(arguments)
    print_table(figures(options.rounds, options.rows, options.folder), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
