# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Ingest alone: `python -m benchmarks.deep.ingest [--rows N] [--folder PATH]`.

Envelopes of 500 rows, sealed beforehand, are unsealed and committed in one process with fsync on. Rates are
of rows whose mark could be announced, while the table grows; it is compacted before each measurement, as
upkeep does.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from msgspec import Struct

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


class Figures(Struct):
    """What one size of the table measured."""

    rows: int  # in the table at the end
    rate: float  # rows a second
    cpu: float  # us of all threads, a row
    p50: float  # ms of a commit
    p99: float


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


def measure(ingest: Ingest, first: int, count: int) -> Figures:
    """Take so many envelopes from row `first` on."""
    sealed = list(envelopes(first, count))
    times: list[float] = []
    begin, cpu = time.perf_counter(), time.process_time()
    for start in range(0, count, COMMIT):
        before = time.perf_counter()
        batch = [Envelope(LANE, *unseal(one)) for one in sealed[start : start + COMMIT]]
        ingest.take(SPEC.table, batch)
        times.append((time.perf_counter() - before) * 1e3)
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    rows = count * ROWS
    times.sort()
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    return Figures(first + rows - 1, rows / took, cpu / rows * 1e6, median(times), p99)


def run(folder: Path, most: int) -> list[Figures]:
    """Fill a table by tens, and measure each size; a process's first commit doesn't count."""
    ingest = Ingest(folder / "lake", (SPEC,), time.time_ns)
    part = min(most, 256_000) // ROWS
    first = 1 + COMMIT * ROWS
    ingest.take(SPEC.table, [Envelope(LANE, *unseal(one)) for one in envelopes(1, COMMIT)])
    found: list[Figures] = []
    size = 10**4
    while size <= most:
        while size - first > 2 * part * ROWS:
            first = measure(ingest, first, part).rows + 1
        ingest.lake.tables[SPEC.table].handle.optimize.compact()
        ingest.look()
        found.append(measure(ingest, first, part))
        first, size = found[-1].rows + 1, size * 10
    return found


def main(arguments: list[str]) -> int:
    """Measure, and print a table or JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep.ingest")
    parser.add_argument("--rows", type=int, default=10**6, help="in the table at the most")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one without it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        found = run(folder, options.rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for one in found:
        if options.json:
            print(json.dumps({name: getattr(one, name) for name in one.__struct_fields__}))
        else:
            print(f"{one.rows:>12,} rows: {one.rate:>9,.0f} rows/s, {one.cpu:.1f} µs of CPU a row, "
                  f"commit of {COMMIT * ROWS:,} p50 {one.p50:.0f} ms, p99 {one.p99:.0f} ms")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
