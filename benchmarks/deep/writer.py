"""The outbox's writer, inline on the loop or in its thread: what a device waits, and what the loop does.

`python -m benchmarks.deep.writer` offers durable events at a rate, open-loop, to the real outbox. "inline" is
the same outbox whose groups are committed by the loop itself. A slow disk is a preloaded library that sleeps
after each fdatasync (it needs a C compiler).
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import Forward, Outbox, Transaction
from rimward.observe import Histogram

TICK = 0.001  # seconds between two bursts of events, and between two looks at the loop
RATES = (1_000, 5_000, 10_000)
SLOW = 20  # ms that a slow disk takes for an fdatasync
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static int slow(int (*real)(int), int fd) {
  usleep(1000 * atoi(getenv("SLOW_FSYNC_MS")));
  return real(fd);
}
int fdatasync(int fd) { return slow((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"), fd); }
int fsync(int fd) { return slow((int (*)(int))dlsym(RTLD_NEXT, "fsync"), fd); }
"""


class Inline(Outbox):
    """The outbox whose loop waits for the disk."""

    def _seal(self) -> None:
        super()._seal()
        if not self._tasks.empty():
            self._loop.call_soon(self._commit_here, self._tasks.get_nowait())

    def _commit_here(self, group: Any) -> None:
        if group is None:
            self._tasks.put(None)
            return
        started = self._monotonic()
        assert self._core is not None
        self._core.commit(group.forwards, group.cells, group.dead)
        self._landed(group, self._monotonic() - started, None)

    def _write(self) -> None:
        """Write nothing: the loop does."""
        while self._tasks.get() is not None:
            pass


def message(number: int) -> Transaction:
    """Return a message with one fact of about 100 bytes."""
    transaction = Transaction()
    values = (f"truck-{number % 100}", number * 0.5, "x" * 60)
    transaction.forwards.append(
        Forward("too_warm", "s", "normal", 1, f"b-{number:x}", None, None, replayed=False, values=values)
    )
    return transaction


async def offer(outbox: Outbox, rate: int, seconds: float) -> dict[str, float]:
    """Offer events at a rate whatever comes of them; return waits and the loop's lag, ms."""
    acks, lag = Histogram(), Histogram()
    count, answered = round(rate * seconds), 0
    all_in = asyncio.Event()
    begun = time.monotonic_ns()

    def answer(due: int) -> Any:
        def done(error: BaseException | None) -> None:
            nonlocal answered
            assert error is None
            acks.record(time.monotonic_ns() - due)
            answered += 1
            if answered == count:
                all_in.set()

        return done

    sent, last = 0, begun
    while sent < count:
        await asyncio.sleep(TICK)
        now = time.monotonic_ns()
        lag.record(max(0, now - last - round(TICK * 1e9)))
        while sent < count and (due := begun + sent * 1_000_000_000 // rate) <= now:
            outbox.append(message(sent), answer(due))
            sent += 1
        last = time.monotonic_ns()
    await all_in.wait()
    took = (time.monotonic_ns() - begun) / 1e9
    return {
        "rate": rate,
        "done_per_s": round(count / took),
        "ack_p50_ms": acks.percentile(50) / 1e6,
        "ack_p99_ms": acks.percentile(99) / 1e6,
        "loop_p99_ms": lag.percentile(99) / 1e6,
        "commit_p99_ms": float(outbox.stats()["commit_p99_ms"]),
    }


async def flood(outbox: Outbox, count: int) -> dict[str, float]:
    """Offer all events at once; return how many a second are on disk."""
    left, all_in = count, asyncio.Event()

    def done(error: BaseException | None) -> None:
        nonlocal left
        assert error is None
        left -= 1
        if not left:
            all_in.set()

    begun = time.monotonic()
    for number in range(count):
        outbox.append(message(number), done)
        if number % 512 == 511:
            await asyncio.sleep(0)
    await all_in.wait()
    return {"flood": count, "done_per_s": round(count / (time.monotonic() - begun))}


async def measure(kind: str, rate: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Measure one writer at one rate; 0: as fast as it goes."""
    writer = {"inline": Inline, "thread": Outbox}[kind]
    async with writer(folder, OutboxConfig(), time.time_ns) as outbox:
        found = await (offer(outbox, rate, seconds) if rate else flood(outbox, round(40_000 * seconds)))
    return {"writer": kind} | found


def compiled(scratch: Path) -> Path | None:
    """Return the library that makes the disk slow, or None where there is no compiler."""
    cc = shutil.which("cc") or shutil.which("gcc")
    if cc is None:
        return None
    source, library = scratch / "slow.c", scratch / "slow.so"
    source.write_text(SHIM)
    subprocess.run([cc, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def run(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.deep.writer", *arguments]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main(arguments: list[str]) -> int:
    """Compare both writers, a line a run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep.writer")
    parser.add_argument("--one", nargs=2, metavar=("WRITER", "RATE"), help="one run, as JSON")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="writer-", dir=options.folder) as name:
        folder = Path(name)
        if options.one:
            kind, rate = options.one
            print(json.dumps(asyncio.run(measure(kind, int(rate), options.seconds, folder))))
            return 0
        library = compiled(folder)
        disks: dict[str, dict[str, str]] = {"this disk": {}}
        if library is not None:
            disks[f"{SLOW} ms"] = {"LD_PRELOAD": str(library), "SLOW_FSYNC_MS": str(SLOW)}
        for disk, environment in disks.items():
            for rate in (*RATES, 0):
                for kind in ("thread", "inline"):
                    more = ["--folder", str(options.folder)] if options.folder else []
                    found = run(
                        ["--one", kind, str(rate), "--seconds", str(options.seconds), *more], environment
                    )
                    print(disk, json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
