"""Measures a stream of more keys than memory may hold, in a node's dispatcher on a real outbox.

Each key speaks once, then some of them once more, when they have left memory; then the node starts anew.
`python -m benchmarks.streams.keys KEYS` prints one JSON object: CPU time of all threads, memory, the file.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from benchmarks.rig.nowhere import Nowhere
from benchmarks.streams.measuring import APP, SECOND
from rimward.app.loading import load
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.types import Message, Sender
from rimward.edge.outbox import Outbox

START = 1_800_000_000  # seconds since the epoch
AGAIN = 20_000  # keys that speak a second time
PAUSE = 50  # events in a turn of the loop
IN_MEMORY = 10_000  # keys, the default


class Node:
    """One start of a node."""

    def __init__(self, folder: Path, boot: bytes) -> None:
        self._folder = folder
        self._boot = boot
        self._stack = AsyncExitStack()
        self.dispatcher: Dispatcher
        self.outbox: Outbox

    async def __aenter__(self) -> Self:
        app, nowhere = load(str(self._folder / "app.py")), Nowhere()
        clocks = Clocks(time.monotonic_ns, lambda: START * SECOND)
        self.outbox = await self._stack.enter_async_context(Outbox(self._folder, OutboxConfig(), clocks.wall))
        tracing = Tracing("node-1", self._boot, nowhere, lambda: "1")
        self.dispatcher = Dispatcher(app, "node-1", clocks, self.outbox, tracing)
        self.dispatcher.router = nowhere  # pyright: ignore[reportAttributeAccessIssue] (it takes what a router takes)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def feed(self, keys: Iterable[int], second: int) -> None:
        """Let keys speak, one after the other."""
        sender, moment = Sender("a", "mqtt5"), time.strftime("%FT%TZ", time.gmtime(START + second))
        for number, key in enumerate(keys):
            body = b'{"device":"%d","celsius":20.5,"at":"%s"}' % (key, moment.encode())
            self.dispatcher.message(Message(f"t/{key}", body, 0, sender, time.monotonic_ns()))
            if number % PAUSE == 0:
                await asyncio.sleep(0)


def resident(what: str) -> float:
    """Return this process's memory, MB: VmRSS now, VmHWM at most so far."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{what}:")[2].split()[0]) / 1024


def size(folder: Path) -> int:
    """Return the bytes of the outbox's files."""
    return sum(one.stat().st_size for one in folder.glob("outbox.db*"))


async def measure(folder: Path, count: int) -> dict[str, float]:
    """Return the figures."""
    (folder / "app.py").write_text(APP)
    found: dict[str, float] = {}
    async with Node(folder, b"12345678") as node:
        found["memory before, MB"] = resident("VmRSS")
        for name, keys, second in (
            ("first event of a key, ns", range(count), 0),
            ("event of a key on disk, ns", range(0, count, max(1, count // AGAIN)), 1),
        ):
            begun, loop = time.process_time_ns(), time.thread_time_ns()
            await node.feed(keys, second)
            while node.outbox.unwritten()[0] or node.outbox._flying:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.1)
            found[name] = (time.process_time_ns() - begun) / len(keys)
            found[f"{name.removesuffix(', ns')}, the loop alone, ns"] = (time.thread_time_ns() - loop) / len(
                keys
            )
        found["memory at most, MB"] = resident("VmHWM")
        stream = node.dispatcher.streams["per_minute"]
        assert len(stream.keys) == count
        assert stream.keys.in_memory == min(count, IN_MEMORY)
        assert stream.full == 0
    found["file, bytes a key"] = await asyncio.to_thread(size, folder) / count
    begun = time.process_time_ns()
    async with Node(folder, b"87654321") as node:
        found["start, ms"] = (time.process_time_ns() - begun) / 1e6
        assert len(node.dispatcher.streams["per_minute"].keys) == count
    return found


def main(arguments: list[str]) -> int:
    """Print the figures of so many keys."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), int(arguments[0])))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
