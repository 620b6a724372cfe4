"""What the deep path's troubles cost the fast path: `python -m benchmarks.deep.isolation [--pairs N]`.

One node and its hub as real processes. A device asks a function with `durable=False` for an answer, at a
steady rate whatever comes back; others forward rows durably beside it. In turn: everything sound, then with
one trouble; the ratio of the two p99s of each pair counts, and its median is held against 1.2.

The bus is stopped (it takes connections and says nothing), the uplink capped at 64 kbit/s with more than that
to send, the node's fsync made 50 ms slower by a preloaded library, or ingest and hub stopped.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct
from tests.faults.devices import Devices
from tests.faults.fleet import Fleet, dead, until

from benchmarks.deep.sites import Line, app_in
from benchmarks.report import Bar, Figure, print_table
from benchmarks.rig.native import library
from rimward.edge.deep.config import DeepConfig, read
from rimward.network.config import UplinkConfig
from rimward.protocols.mqtt import Publish, Subscribe, Subscription

LIMIT = 1.2
ROWS = 200.0  # durable messages a second beside it
QUESTIONS = 200.0  # a second
SLOW = 50_000  # us that each fsync takes longer
Trouble = Callable[[], Generator[None]]


class Pair(Struct):
    """Two measurements after each other, ms."""

    sound: float
    troubled: float

    @property
    def ratio(self) -> float:
        """How many times as long it took."""
        return self.troubled / self.sound


class Asking:
    """A device that asks and measures how long answers take, from when each question was due."""

    def __init__(self, port: int) -> None:
        self._line = Line(port, "asking")
        self._line.send(Subscribe(1, (Subscription("asking/answer"),)))
        self._line.next()

    def p99(self, seconds: float) -> float:
        """Return the p99 of answers over a time, ms."""
        took: list[float] = []
        start = time.perf_counter()
        for number in range(round(seconds * QUESTIONS)):
            due = start + number / QUESTIONS
            time.sleep(max(0.0, due - time.perf_counter()))
            self._line.send(Publish("asking/question", b'{"n": 1}'))
            self._line.next()
            took.append(time.perf_counter() - due)
        return sorted(took)[len(took) * 99 // 100] * 1e3


class Site:
    """The node, the hub, and what can be wrong with them."""

    def __init__(self, fleet: Fleet, slow: Path) -> None:
        self._fleet = fleet
        self._slow = slow
        self.troubles: dict[str, Trouble] = {
            "nothing": self.nothing,
            "uplink dead": self.bus_stopped,
            "uplink saturated at 64 kbit/s": self.saturated,
            "disk slow": self.disk_slow,
            "ingest stopped": self.ingest_stopped,
        }

    def nothing(self) -> Generator[None]:
        """Change nothing: how much the measurement itself varies."""
        yield

    def bus_stopped(self) -> Generator[None]:
        """Let the bus hang."""
        yield from self._stopped("bus")

    def ingest_stopped(self) -> Generator[None]:
        """Let ingest and hub hang."""
        yield from self._stopped("ingest", "hub")

    def _stopped(self, *names: str) -> Generator[None]:
        pids = [self._fleet.hub.pid(name) for name in names]
        for pid in pids:
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                assert pid is not None
                os.kill(pid, signal.SIGCONT)

    def disk_slow(self) -> Generator[None]:
        """Make each fsync of the node take longer."""
        self._slow.write_text(str(SLOW))
        try:
            yield
        finally:
            self._slow.unlink()

    def saturated(self) -> Generator[None]:
        """Cap the uplink below what there is to send."""
        self._restart(UplinkConfig(rate="64kbit/s"))
        try:
            yield
        finally:
            self._restart(UplinkConfig())

    def _restart(self, uplink: UplinkConfig) -> None:
        node = self._fleet.nodes[0]
        path = node.folder / "run" / "deep.json"
        config: DeepConfig = msgspec.structs.replace(read(path), uplink=uplink)
        path.write_bytes(msgspec.json.encode(config))
        before = node.pid("deep")
        node.kill("deep")
        until(lambda: node.pid("deep") not in (before, None), "the deep process is back")
        assert before is None or dead(before)
        node.wait()


def measure(site: Site, asking: Asking, name: str, pairs: int, seconds: float) -> list[Pair]:
    """Return interleaved pairs of one trouble; every second one begins with the trouble."""

    def troubled() -> float:
        with contextmanager(site.troubles[name])():
            time.sleep(0.5)
            return asking.p99(seconds)

    found: list[Pair] = []
    for number in range(pairs):
        if number % 2:
            bad, good = troubled(), asking.p99(seconds)
        else:
            good, bad = asking.p99(seconds), troubled()
        found.append(Pair(good, bad))
    return found


def figures(pairs: int, seconds: float = 2.0) -> list[Figure]:
    """Measure every trouble in interleaved pairs."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        slow = folder / "slow"
        env = {"LD_PRELOAD": str(library("slowsync")), "SLOW_SYNC": str(slow)}
        fleet = Fleet(
            folder / "fleet", app_in(folder), nodes=1, env=lambda name: {} if name == "hub" else env
        )
        with fleet, Devices(fleet.ports, each=4, rate=ROWS):
            site, asking = Site(fleet, slow), Asking(fleet.ports[0])
            asking.p99(seconds)
            for name in site.troubles:
                done = measure(site, asking, name, pairs, seconds)
                ratios = sorted(pair.ratio for pair in done)
                p99 = statistics.median(pair.troubled for pair in done)
                note = f"p99 {statistics.median(pair.sound for pair in done):.2f} → {p99:.2f} ms"
                bar = None if name == "nothing" else Bar("<=", LIMIT)
                value, spread = statistics.median(ratios), (ratios[0], ratios[-1])
                found.append(
                    Figure(f"an answer's p99 with {name}, to sound", value, "times", bar, spread, note=note)
                )
    return found


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep.isolation")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args(arguments)
    found = figures(options.pairs, options.seconds)
    print_table(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
