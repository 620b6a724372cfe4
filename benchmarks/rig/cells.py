"""The measurements: every server under every load, a fresh server each time, the rounds interleaved."""

import sys
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from benchmarks.rig.native import Devices, Load, Result
from benchmarks.rig.processes import BenchError, cpu_ns
from benchmarks.rig.servers import SERVERS

PACED, ONE, BUSY, BUSY_SURE, DEEP = "paced", "one", "busy", "busy, QoS 1", "eight in flight"


class Sample(Struct, frozen=True):
    """One server under one load."""

    result: Result
    cpu: float  # us of all the server's threads per event

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.result.events / self.result.seconds

    @property
    def p50(self) -> float:
        """Median time from reading to command, us."""
        return self.result.p50 / 1e3

    @property
    def p99(self) -> float:
        """Its 99th percentile, us."""
        return self.result.p99 / 1e3


Samples = dict[str, dict[str, list[Sample]]]  # by load, then by server; one a round


def loads(*, quick: bool) -> dict[str, Load]:
    """Return the loads by name."""
    warm, measure = (50, 200) if quick else (500, 1000)
    return {
        PACED: Load(connections=64, in_flight=1, qos=0, rate=5000, warm_ms=warm, measure_ms=2 * measure),
        ONE: Load(connections=1, in_flight=1, qos=0, rate=0, warm_ms=warm, measure_ms=measure),
        BUSY: Load(connections=64, in_flight=1, qos=0, rate=0, warm_ms=warm, measure_ms=measure),
        BUSY_SURE: Load(connections=64, in_flight=1, qos=1, rate=0, warm_ms=warm, measure_ms=measure),
        DEEP: Load(connections=64, in_flight=8, qos=0, rate=0, warm_ms=warm, measure_ms=measure),
    }


def measure(
    names: Iterable[str],
    rounds: int,
    by_name: Mapping[str, Load],
    only: Mapping[str, Collection[str]] | None = None,
) -> Samples:
    """Run all of it; a peer that can't be had here is left out, and said so.

    `only` names the servers of a load where they are not all.

    Raises:
        BenchError: Rimward can't be measured.
    """
    names, only = list(names), only or {}
    samples: Samples = {load: {name: [] for name in names} for load in by_name}
    for number in range(rounds):
        for load_name, load in by_name.items():
            for name in [name for name in names if name in only.get(load_name, names)]:
                print(f"bench: round {number + 1} of {rounds}, {load_name}, {name}", file=sys.stderr)
                try:
                    samples[load_name][name].append(run(name, load))
                except BenchError as error:
                    if name == "rimward":
                        raise
                    print(f"bench: without {name}: {error}", file=sys.stderr)
                    names.remove(name)
    return samples


def run(name: str, load: Load) -> Sample:
    """Measure a fresh server.

    Raises:
        BenchError: it can't be started, or it loses commands.
    """
    with SERVERS[name]() as server, Devices(server.port, load) as devices:
        pids = server.counted_pids()
        devices.begin()
        before = cpu_ns(pids)
        result = devices.finish()
        used = cpu_ns(pids) - before
    if result.lost or not result.events:
        raise BenchError(f"{name} answered {result.events} readings and lost {result.lost}")
    return Sample(result, used / result.events / 1e3)
