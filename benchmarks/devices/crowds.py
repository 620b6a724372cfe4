"""Many connections: how fast they come in, what they weigh when idle, and one message to all of them."""

import resource
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

from msgspec import Struct

from benchmarks.rig.native import Fanned, crowd
from benchmarks.rig.processes import BenchError, cpu_ns, rss_bytes
from benchmarks.rig.servers import Server, mosquitto, rimward

T = TypeVar("T")

SERVERS: dict[str, Callable[[], AbstractContextManager[Server]]] = {
    "rimward": rimward,
    "mosquitto": mosquitto,
}
FILES = 65_536  # descriptors that 15,000 connections and a node's share of them need
FEW, MORE = 5_000, 10_000  # the second slope: what a start leaves free is used up by then
AT_ONCE = 64  # connections under way
SUBSCRIBERS = 1_000


class Fans(Struct, frozen=True):
    """One message to many."""

    rate: float  # copies a second
    cpu: float  # ns of all the server's threads a copy


class Crowds(Struct, frozen=True):
    """Many connections that say nothing."""

    rate: float  # accepted a second
    idle: float  # bytes of resident memory that one takes


def fans(rounds: int, measure_ms: int) -> dict[str, list[Fans]]:
    """Return what one message to a thousand subscribers gave."""

    def one(server: Server) -> Fans:
        with Fanned(server.port, SUBSCRIBERS, 300, measure_ms) as fan:
            pids = server.counted_pids()
            fan.begin()
            before = cpu_ns(pids)
            result = fan.finish()
            return Fans(result.copies / result.seconds, (cpu_ns(pids) - before) / result.copies)

    return _each(rounds, "fan-out", one)


def crowds(rounds: int) -> dict[str, list[Crowds]]:
    """Return what 15,000 connections gave."""
    with suppress(ValueError, OSError):  # not root: what is allowed has to do
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))

    def one(server: Server) -> Crowds:
        main = next(pid for name, pid in server.pids.items() if name in {"node", "mosquitto"})
        with crowd(server.port, FEW, AT_ONCE):
            before = rss_bytes(main)
            with crowd(server.port, MORE, AT_ONCE) as came:
                return Crowds(came.connections / came.seconds, (rss_bytes(main) - before) / MORE)

    return _each(rounds, "15,000 connections", one)


def _each(rounds: int, what: str, one: Callable[[Server], T]) -> dict[str, list[T]]:
    samples: dict[str, list[T]] = {name: [] for name in SERVERS}
    for number in range(rounds):
        for name, server in SERVERS.items():
            print(f"bench: round {number + 1} of {rounds}, {what}, {name}", file=sys.stderr)
            try:
                with server() as running:
                    samples[name].append(one(running))
            except BenchError as error:
                print(f"bench: {name} is not measured: {error}", file=sys.stderr)
    return samples
