# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (nats ships partial types)
"""The uplink alone: `python -m benchmarks.deep.uplink [--rows N] [--rounds N] [--folder PATH]`.

An outbox is filled, then the deep process drains it into a nats-server of its own on loopback that syncs each
message (`sync_interval: always`). Rates are of rows that the bus has acknowledged. The writer's commits go
on beside it at the end, in a process of their own, without and with the drain.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import nats
from msgspec import Struct

from benchmarks.deep.rows import GROUP, LARGE, NODE, REGION, fill, groups
from benchmarks.report import Bar, Figure, print_table, single
from rimward.cloud.bus import BusUser, write_config
from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.process import DeepProcess
from rimward.edge.outbox import OutboxCore
from rimward.local.plan import installed
from rimward.wire import PRIORITIES, Mark, stream, stream_subject

COMMITS = 1500  # of the writer beside the drain


class Drained(Struct):
    """One drain."""

    rows: int
    seconds: float
    cpu: float  # seconds of the deep process
    bytes: int  # given to the link


@contextmanager
def bus(folder: Path) -> Generator[tuple[str, dict[str, BusUser]]]:
    """Run a nats-server that syncs each message; return its address and users."""
    binary = installed().bus
    assert binary is not None, "no nats-server here"
    folder.mkdir(parents=True)
    users = write_config(folder / "bus.conf", folder / "store", -1, [NODE], REGION)
    ports = folder / "ports"
    ports.mkdir()
    with (folder / "bus.log").open("wb") as log:
        command = [binary, "-c", str(folder / "bus.conf"), "--ports_file_dir", str(ports)]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        while not (found := list(ports.iterdir())) or not found[0].read_text().strip():
            time.sleep(0.02)
        yield json.loads(found[0].read_text())["nats"][0].replace("0.0.0.0", "127.0.0.1"), users
    finally:
        server.terminate()
        server.wait()


async def streams(url: str, users: dict[str, BusUser]) -> None:
    """Make the streams as a hub does."""
    hub = users["hub"]
    client = await nats.connect(url, user=hub.user, password=hub.password)
    js = client.jetstream()
    for priority in PRIORITIES:
        await js.add_stream(name=stream(priority), subjects=[stream_subject(REGION, priority)])
    await client.close()


async def drain(folder: Path, url: str, users: dict[str, BusUser], count: int) -> Drained:
    """Send an outbox's rows until the bus has acknowledged them all."""
    await streams(url, users)
    node = users[NODE]
    process = DeepProcess(DeepConfig(str(folder), url, node.user, node.password, node=NODE, region=REGION))
    started, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(process.run())
    while (acked := taken(process)) < count:
        await asyncio.sleep(0.005)
        assert not task.done()
        tell(process, acked)
    core = process.out.core
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    task.cancel()
    await asyncio.wait({task})
    process.out.close()
    return Drained(count, seconds, cpu, core.bytes)


def taken(process: DeepProcess) -> int:
    """Return the last row that the bus has acknowledged."""
    return process.out.core.behind().get("warm", {}).get("acked", 0)


def tell(process: DeepProcess, seq: int) -> None:
    """Say what a hub would: that its lake has what the bus acknowledged."""
    if seq and process.out.reader is not None:
        epoch = process.out.reader.epochs()[1]
        mark = Mark("warm", "table", 0, seq, epoch.counter, epoch.nonce, seq)
        process.out.core.marked(mark, time.monotonic())


def commits(folder: Path) -> None:
    """Commit small groups to the outbox at 500 a second and print how long each took."""
    core = OutboxCore(folder / "node" / "outbox.db", time.time_ns, LARGE)
    took: list[float] = []
    due = time.perf_counter()
    offered = groups(COMMITS * GROUP, random.Random(8))
    for _ in range(COMMITS):
        group = next(offered)[:10]
        due += 0.002
        time.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter()
        core.commit(group, {}, [])
        took.append(time.perf_counter() - started)
    core.close()
    took.sort()
    print(json.dumps([took[len(took) // 2], took[len(took) * 99 // 100]]))


def beside(folder: Path) -> tuple[float, float]:
    """Return p50 and p99 of a writer's commits, seconds, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.deep.uplink", "--folder", str(folder), "--commits"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    p50, p99 = json.loads(done.stdout)
    return p50, p99


async def contended(folder: Path, url: str, users: dict[str, BusUser]) -> tuple[float, float]:
    """Return the writer's figures while the outbox is drained again and again."""
    node = users[NODE]
    process = DeepProcess(DeepConfig(str(folder), url, node.user, node.password, node=NODE, region=REGION))
    task = asyncio.create_task(process.run())
    writer = asyncio.create_task(asyncio.to_thread(beside, folder))
    while not writer.done():
        await asyncio.sleep(0.02)
        lane = process.out.core.behind().get("warm")
        if lane is not None and lane["acked"] >= lane["sent"]:
            process.out.core.begin(time.monotonic(), same_bus=False)  # no mark came: all of it again
    task.cancel()
    await asyncio.wait({task})
    process.out.close()
    return writer.result()


def figures(rounds: int, rows: int = 300_000, folder: Path | None = None) -> list[Figure]:
    """Drain an outbox again and again, each time to a fresh bus; then commit to it beside drains."""
    done, alone, busy = list[Drained](), list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as scratch:
        data = Path(scratch)
        events, plain = fill(data, rows, random.Random(7))
        for number in range(rounds):
            with bus(data / f"bus-{number}") as (url, users):
                done.append(asyncio.run(drain(data, url, users, rows)))
        for number in range(rounds):
            alone.append(beside(data)[1] * 1e3)
            with bus(data / f"busy-{number}") as (url, users):
                asyncio.run(streams(url, users))
                busy.append(asyncio.run(contended(data, url, users))[1] * 1e3)
    share = [one.bytes / events * 100 for one in done]
    each = f"{done[0].bytes / rows:.1f} bytes a row to {events / rows:.0f}; the data alone {plain / rows:.0f}"
    return [
        single("uplink, acknowledged by a bus that syncs", "/s", [one.rows / one.seconds for one in done],
               Bar(">=", 100_000), f"{rows:,} rows"),
        single("CPU of the deep process a row", "µs", [one.cpu / one.rows * 1e6 for one in done]),
        single("bytes on the link to CloudEvents in JSON", "%", share, Bar("<=", 25), each),
        single("bytes on the link to the devices' JSON alone", "%", [one.bytes / plain * 100 for one in done],
               note="which has no identity, time or schema"),
        single("a commit of 10 rows, p99, without a drain", "ms", alone),
        single("a commit of 10 rows, p99, beside a drain", "ms", busy),
    ]  # fmt: skip


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep.uplink")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default a temporary one")
    parser.add_argument("--commits", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.commits:
        commits(options.folder)
    else:
        print_table(figures(options.rounds, options.rows, options.folder), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
