"""Broken bytes against a running node, protocol by protocol, for as long as you like; then the account.

`./dev soak fuzz [SECONDS]` (600). The conversations are those of tests/fuzz, thousands of them: what the node
answers is held against each protocol, a witness is served throughout, and what the node's memory and folders
grow by is capped. A conversation that breaks something is printed as a file for tests/fuzz/corpus.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy
from tests.e2e.running import Dev
from tests.fuzz.goodbyes import check_coap, check_http, check_mqtt, check_websocket
from tests.fuzz.mutations import Writes, anything, corpus, mutated
from tests.fuzz.talking import exchange, talk
from tests.soak.floods import Pulse, memory, size

GROWTH = 100 << 20  # bytes that the node's memory may grow by in the whole run
LOG = 1 << 20  # bytes that all logs may grow by
DISK = 256 << 20  # bytes that the data folder may grow by
BATCH = 200  # conversations between two looks at the node
APP = Path(__file__).parents[1] / "fuzz" / "app.py"
Conversation = Callable[[Writes], Awaitable[None]]


class _Target:
    """One node, and how a conversation of each protocol with it is held and judged."""

    def __init__(self, dev: Dev) -> None:
        self.dev = dev
        self.protocols: dict[str, tuple[Conversation, SearchStrategy[Writes]]] = {
            name: (converse, mutated(corpus(name)) | anything())
            for name, converse in (
                ("mqtt", self._mqtt),
                ("http", self._http),
                ("websocket", self._websocket),
                ("coap", self._coap),
            )
        }

    async def _mqtt(self, writes: Writes) -> None:
        check_mqtt(await talk(self.dev.ready["mqtt"], writes))

    async def _http(self, writes: Writes) -> None:
        check_http(await talk(self.dev.ready["http"], writes), head=b"HEAD" in b"".join(writes))

    async def _websocket(self, writes: Writes) -> None:
        check_websocket(await talk(self.dev.ready["http"], writes))

    async def _coap(self, writes: Writes) -> None:
        for answer in await exchange(self.dev.ready["coap"], [data[:1400] for data in writes]):
            check_coap(answer)


def batch(converse: Conversation, strategy: SearchStrategy[Writes], seed: int) -> int:
    """Hold a batch of conversations; return how many. A broken one is made small before it is raised."""
    count = 0
    health = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

    @seeded(seed)
    @settings(max_examples=BATCH, database=None, deadline=None, suppress_health_check=health)
    @given(strategy)
    def run(writes: Writes) -> None:
        nonlocal count
        count += 1
        try:
            asyncio.run(_limited(converse, writes))
        except BaseException as error:
            error.add_note("as a file of the corpus:\n" + "\n\n".join(data.hex() for data in writes))
            raise

    run()
    return count


async def _limited(converse: Conversation, writes: Writes) -> None:
    await converse(writes)


def main(arguments: list[str]) -> int:
    """Run, print what was done, and say whether anything broke."""
    parser = argparse.ArgumentParser(prog="./dev soak fuzz")
    parser.add_argument("seconds", nargs="?", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, Dev(APP, Path(folder) / "data", "--coap", "0") as dev:
        broken = _run(_Target(dev), dice, options.seconds)
    for line in broken:
        print(f"BROKEN {line}")
    return 1 if broken else 0


def _run(target: _Target, dice: random.Random, seconds: float) -> list[str]:
    dev, counts = target.dev, dict.fromkeys(target.protocols, 0)
    witness = Pulse(dev.ready["mqtt"])
    node = dev.pids()["node"]
    assert node is not None
    _warm(target)
    rss, logs, disk = memory(node), size(dev.data / "logs"), size(dev.data)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, (converse, strategy) in target.protocols.items():
            counts[name] += batch(converse, strategy, dice.getrandbits(32))
            witness.p99(0.05)  # it is served
            if dev.pids()["node"] != node:
                return [f"{name}: the node died"]
    growths = {
        "memory": (memory(node) - rss, GROWTH),
        "log": (size(dev.data / "logs") - logs, LOG),
        "disk": (size(dev.data) - disk, DISK),
    }
    print(", ".join(f"{name} {count}" for name, count in counts.items()), "conversations;", end=" ")
    print(", ".join(f"{name} grew by {grown} bytes" for name, (grown, _) in growths.items()), flush=True)
    return [
        f"{name} grew by {grown} bytes, the cap is {cap}"
        for name, (grown, cap) in growths.items()
        if grown > cap
    ]


def _warm(target: _Target) -> None:
    """Hold one batch of each before anything is measured: caches fill up to their bounds."""
    for converse, strategy in target.protocols.values():
        batch(converse, strategy, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
