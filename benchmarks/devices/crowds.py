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
from rimward.edge.gateways.descriptors import allowed
from rimward.edge.gateways.mqtt.gateway import SHARE

T = TypeVar("T")

SERVERS: dict[str, Callable[[], AbstractContextManager[Server]]] = {
    "rimward": rimward,
    "mosquitto": mosquitto,
}
FILES = 65_536  # descriptors that 15,000 connections and a node's share of them need
FEW, MOST = 5_000, 15_000  # the slope between them: what a start leaves free is used up by then
AT_ONCE = 64  # connections under way
SUBSCRIBERS = 1_000


class Fans(Struct, frozen=True):
    """One message to many."""

    rate: float  # copies a second
    cpu: float  # ns of all the server's threads a copy


class Crowds(Struct, frozen=True):
    """Many connections that say nothing."""

    most: int  # connections in all
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
    most = min(MOST, allowed(MOST + 1_000, SHARE) - 100)  # some for those that come and go

    def one(server: Server) -> Crowds:
        main = next(pid for name, pid in server.pids.items() if name in {"node", "mosquitto"})
        with crowd(server.port, FEW, AT_ONCE):
            before = rss_bytes(main)
            with crowd(server.port, most - FEW, AT_ONCE) as came:
                grown = rss_bytes(main) - before
                return Crowds(most, came.connections / came.seconds, grown / came.connections)

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
