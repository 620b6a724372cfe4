"""What the deep path's troubles cost the fast path: `python -m benchmarks.deep.isolation [--pairs N]`.

One node and its hub as real processes. A device asks a function with `durable=False` for an answer, at a
steady rate whatever comes back; others forward rows durably beside it. Short rounds, in turn with everything
sound and with one trouble, each of them again and again; the p99 of all troubled answers to that of all sound
ones beside them is held against 1.2. One of the troubles is none: what it says is how good the others are.

The bus is stopped (it takes connections and says nothing), the uplink capped at 64 kbit/s with more than that
to send, the node's fsync made 50 ms slower by a preloaded library, or ingest and hub stopped.
"""

import argparse
import os
import signal
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

from benchmarks.deep.asking import Asking
from benchmarks.deep.sites import app_in
from benchmarks.report import Bar, Figure, print_table
from benchmarks.rig.native import library
from rimward.edge.deep.config import DeepConfig, read
from rimward.network.config import UplinkConfig
from rimward_supervisor.background import NICE, put_behind

LIMIT = 1.2
ROWS = 500.0  # durable messages a second beside it: more than 64 kbit/s carry
SETTLE = 0.5  # seconds before each measurement, sound or troubled
SLOW = 50_000  # us that each fsync takes longer
Trouble = Callable[[], Generator[None]]


class Arm(Struct):
    """What was measured of one trouble: all answers, and the p99 of each pair's two rounds, ms."""

    sound: list[float] = []
    troubled: list[float] = []
    ratios: list[float] = []

    def add(self, sound: list[float], troubled: list[float]) -> None:
        """Add a pair of rounds."""
        self.sound += sound
        self.troubled += troubled
        self.ratios.append(p99(troubled) / p99(sound))


def p99(took: list[float]) -> float:
    """Return what one answer in a hundred exceeds."""
    return sorted(took)[len(took) * 99 // 100]


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


def pair(trouble: Trouble, asking: Asking, seconds: float, *, first: bool) -> tuple[list[float], list[float]]:
    """Return what answers took without a trouble and with it; `first`: the trouble comes first."""

    def sound() -> list[float]:
        time.sleep(SETTLE)
        return asking.ask(seconds)

    def troubled() -> list[float]:
        with contextmanager(trouble)():
            return sound()

    if first:
        bad = troubled()
        return sound(), bad
    return sound(), troubled()


def behind(fleet: Fleet) -> None:
    """Put the hub behind the node: in the field it stands on a machine of its own."""
    for name in ("bus", "hub", "ingest"):
        pid = fleet.hub.pid(name)
        assert pid is not None
        put_behind(pid)
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), NICE)


def measured(pairs: int, seconds: float) -> dict[str, Arm]:
    """Measure every trouble in turn, again and again: what drifts meanwhile drifts for all."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        slow = folder / "slow"
        env = {"LD_PRELOAD": str(library("slowsync")), "SLOW_SYNC": str(slow)}
        fleet = Fleet(
            folder / "fleet", app_in(folder), nodes=1, env=lambda name: {} if name == "hub" else env
        )
        with fleet, Devices(fleet.ports, each=4, rate=ROWS), Asking(fleet.ports[0]) as asking:
            behind(fleet)
            site = Site(fleet, slow)
            arms = {name: Arm() for name in site.troubles}
            asking.ask(seconds)
            for number in range(pairs):
                for name, trouble in site.troubles.items():
                    arms[name].add(*pair(trouble, asking, seconds, first=bool(number % 2)))
    return arms


def figures(pairs: int, seconds: float = 1.0) -> list[Figure]:
    """Measure every trouble, and none, in interleaved pairs; all are held against the bar."""
    found: list[Figure] = []
    for name, arm in measured(pairs, seconds).items():
        sound, troubled = p99(arm.sound), p99(arm.troubled)
        found.append(
            Figure(
                f"an answer's p99 with {name}, to sound", troubled / sound, "times", Bar("<=", LIMIT),
                (min(arm.ratios), max(arm.ratios)), note=f"p99 {sound:.2f} → {troubled:.2f} ms",
            )
        )  # fmt: skip
    return found


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep.isolation")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    options = parser.parse_args(arguments)
    found = figures(options.pairs, options.seconds)
    print_table(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
