"""Workers measured from the node's loop: what it pays, what a call waits, what the neighbours feel."""

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.report import Bar, Figure, single
from benchmarks.rig.nowhere import Nowhere
from rimward.app.loading import load
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.types import Message, Sender, Ticket
from rimward.edge.functions.config import WorkersConfig
from rimward.edge.functions.workers import Place, Workers
from rimward.edge.outbox import Outbox
from rimward.edge.outbox.config import OutboxConfig
from rimward.edge.process import YOUNG
from rimward.events import RimwardError
from rimward.wire.functions import Ask, Command, Ended, Look, Seen, Told

APP = Path(__file__).with_name("app.py")
BODY = b'{"celsius":9.5}'
SENDER = Sender("device", "mqtt5")
PIPELINED = 20_000  # calls of one round
DEEP = 512  # of them on their way at a time


class Node:
    """A dispatcher with workers."""

    def __init__(self, dispatcher: Dispatcher, workers: Workers) -> None:
        self.dispatcher = dispatcher
        self.workers = workers

    def send(self, topic: str) -> Ticket | None:
        return self.dispatcher.message(Message(topic, BODY, 1, SENDER, time.monotonic_ns()))

    async def answered(self, topic: str) -> None:
        ticket = self.send(topic)
        if ticket is not None and not ticket.done:
            done = asyncio.get_running_loop().create_future()
            ticket.on_done = lambda _: done.set_result(None)
            await done


class Caller:
    """Counts answers, and goes on where more calls are to be made."""

    def __init__(self, workers: Workers, calls: int) -> None:
        self._workers = workers
        self._left = calls
        self._open = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def more(self) -> None:
        while self._open < DEEP and self._left:
            self._left -= 1
            self._open += 1
            self._workers.ask("far", "7", Ask(0, BODY, "json", ["7"], [], 0, "json"), self)

    def ended(self, ended: Ended) -> None:
        assert ended.failure is None
        self._open -= 1
        if self._left and self._open <= DEEP // 2:
            self.more()
        elif not self._open:
            self.done.set_result(None)

    def died(self, error: RimwardError) -> None:
        self.done.set_exception(error)

    def command(self, command: Command, tell: object) -> None:
        raise AssertionError(command, tell, Told)

    def look(self, look: Look) -> Seen:
        raise AssertionError(look)


@asynccontextmanager
async def node() -> AsyncGenerator[Node]:
    """Run the app."""
    folder = Path(tempfile.mkdtemp(prefix="rimward-bench-"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "workers"))
    listener.listen()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    zygote = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rimward.edge.functions.zygote", str(folder / "workers"), env=kept
    )
    nowhere, app = Nowhere(), load(str(APP))
    async with Outbox(folder, OutboxConfig(), time.time_ns) as outbox:
        tracing = Tracing("node-1", b"12345678", nowhere, lambda: str(outbox.epoch))
        dispatcher = Dispatcher(app, "node-1", Clocks(time.monotonic_ns, time.time_ns), outbox, tracing)
        dispatcher.router = nowhere
        workers = Workers(app, WorkersConfig(each=1), Place(str(APP), ()), None, {})
        dispatcher.employ(workers)
        workers.listen(listener)
        try:
            one = Node(dispatcher, workers)
            for topic in ("far/7", "slow/7", "near/7"):
                await one.answered(topic)
            gc.freeze()  # as a node does when it has started
            gc.set_threshold(YOUNG)
            yield one
        finally:
            workers.close()
            listener.close()
            zygote.kill()
            await zygote.wait()
            shutil.rmtree(folder)


async def round_trip(one: Node, calls: int = 2000) -> float:
    """Return the median µs of a call that waits for its answer, by the whole way of a message."""
    times: list[int] = []
    for _ in range(calls):
        begun = time.perf_counter_ns()
        await one.answered("far/7")
        times.append(time.perf_counter_ns() - begun)
    return median(times) / 1e3


async def pipelined(one: Node) -> tuple[float, float]:
    """Return calls a second through one worker, and µs of the node's CPU for each."""
    caller = Caller(one.workers, PIPELINED)
    begun, cpu = time.perf_counter(), time.process_time()
    caller.more()
    await caller.done
    return PIPELINED / (time.perf_counter() - begun), (time.process_time() - cpu) / PIPELINED * 1e6


async def new_worker(one: Node) -> float:
    """Return ms from a worker's death to the answer of the next one, the call that follows it."""
    [pid] = one.workers.stats()["far"].pids
    begun = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    while pid in one.workers.stats()["far"].pids:  # noqa: ASYNC110 (what changes is the kernel's)
        await asyncio.sleep(0)
    await one.answered("far/7")
    return (time.perf_counter() - begun) * 1e3


def over_bare(one: Node, calls: int = 200_000) -> float:
    """Return µs of CPU that a call on the loop takes more than the bare function and its decoding."""
    run = one.dispatcher.functions["near"]
    decode, function = run.decode, run.call
    assert decode is not None
    begun = time.process_time()
    for _ in range(calls):
        function("7", decode(BODY))
    bare = time.process_time() - begun
    plain, clock = one.dispatcher.plain, time.monotonic_ns
    begun = time.process_time()
    for _ in range(calls):
        plain("near/7", BODY, 0, SENDER, clock())
    return (time.process_time() - begun - bare) / calls * 1e6


async def neighbours(one: Node, topic: str | None, rate: float, seconds: float = 2.0) -> float:
    """Return the p99 in ms of calls on the loop, a thousand a second by the clock, beside others."""
    loop, late = asyncio.get_running_loop(), list[float]()
    start = loop.time()
    beside, due = start, start
    while due < start + seconds:
        if topic is not None and due >= beside:
            beside += 1 / rate
            one.send(topic)
        await asyncio.sleep(max(0.0, due - loop.time()))
        one.send("near/7")
        late.append(loop.time() - due)
        due += 0.001
    return sorted(late)[int(len(late) * 0.99)] * 1e3


async def figures(rounds: int = 3) -> list[Figure]:
    """Measure it all."""
    async with node() as one:
        trips = [await round_trip(one) for _ in range(rounds)]
        pipes = [await pipelined(one) for _ in range(rounds)]
        fresh = [await new_worker(one) for _ in range(10)]
        bare = [over_bare(one) for _ in range(rounds)]
        alone = [await neighbours(one, None, 1.0) for _ in range(rounds)]
        slow = [await neighbours(one, "slow/7", 50.0) for _ in range(rounds)]
        ever = [await neighbours(one, "ever/7", 1.0) for _ in range(rounds)]
    beside = [there / here for there, here in zip(slow, alone, strict=True)]
    endless = [there / here for there, here in zip(ever, alone, strict=True)]
    rates, costs = [rate for rate, _ in pipes], [cost for _, cost in pipes]
    return [
        single("inline call over the bare function", "µs", bare, Bar("<=", 1.5)),
        single("process: round trip p50", "µs", trips, Bar("<=", 60)),
        single("process: pipelined calls, one worker", "calls/s", rates, Bar(">=", 100_000)),
        single("process: the node's CPU a pipelined call", "µs", costs),
        single("process: new worker, death to answer", "ms", fresh, Bar("<=", 5)),
        single("neighbours' p99, alone", "ms", alone),
        single("neighbours' p99 beside 5 ms fifty times a second, over alone", "x", beside, Bar("<=", 1.3)),
        single("neighbours' p99 beside an endless loop, over alone", "x", endless, Bar("<=", 2)),
    ]


def machine() -> dict[str, object]:
    """Return what the figures were measured on."""
    return {"cores": os.cpu_count(), "load": os.getloadavg()[0], "msgspec": msgspec.__version__}
