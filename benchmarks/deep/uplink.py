# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (nats ships partial types)
"""The uplink alone: `python -m benchmarks.deep.uplink [--rows N] [--folder PATH]`.

An outbox is filled, then the deep process drains it into a nats-server of its own on loopback that syncs each
message (`sync_interval: always`). Rates are of rows that the bus has acknowledged. The writer's commits go
on beside it at the end, in a process of their own, without and with the drain.
"""

import argparse
import asyncio
import json
import os
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

from rimward.cloud.bus import BusUser, write_config
from rimward.edge.config import OutboxConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.process import DeepProcess
from rimward.edge.outbox import Forward, OutboxCore
from rimward.local.plan import installed
from rimward.wire import PRIORITIES, Mark, stream, stream_subject

NODE, REGION = "node-1", "bench"
GROUP = 250  # rows of one commit, as the outbox gathers them under load
BEGIN = 1_790_000_000_000_000_000  # ns, about the year 2026
COMMITS = 1500  # of the writer beside the drain


class Drained(Struct):
    """One drain."""

    rows: int
    seconds: float
    cpu: float  # seconds of the deep process
    bytes: int  # given to the link
    json_bytes: int  # the same rows as CloudEvents in JSON


def rows_of(count: int, chance: random.Random) -> Generator[list[Forward]]:
    """Yield groups of rows as a few hundred sensors send them."""
    sensors = [f"sensor-{number:04}" for number in range(300)]
    now = BEGIN
    for start in range(0, count, GROUP):
        group: list[Forward] = []
        for number in range(start, min(count, start + GROUP)):
            now += chance.randrange(10_000, 200_000)
            values = (
                sensors[chance.randrange(300)],
                round(20 + 5 * chance.random(), 2),
                round(chance.gauss(50, 3), 1),
                number % 97 == 0,
            )
            event = f"{NODE}/1/{number:x}"
            group.append(
                Forward(
                    "warm", "0123456789abcdef", "normal", now, event, now - 3_000_000, None,
                    replayed=False, values=values,
                )
            )  # fmt: skip
        yield group


def json_size(row: Forward) -> int:
    """Return the bytes of a row as a CloudEvent in JSON, structured mode."""
    sensor, degrees, humidity, alarm = row.values
    event = {
        "specversion": "1.0",
        "id": row.event,
        "source": f"/{REGION}/{NODE}",
        "type": "warm",
        "time": "2026-11-26T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "dataschema": f"rimward:{row.schema}",
        "sequence": f"{row.seq}",
        "data": {"sensor": sensor, "degrees": degrees, "humidity": humidity, "alarm": alarm},
    }
    return len(json.dumps(event, separators=(",", ":")))


def fill(folder: Path, count: int) -> int:
    """Fill an outbox; return what its rows would take as JSON."""
    (folder / "node").mkdir(parents=True)
    core = OutboxCore(folder / "node" / "outbox.db", time.time_ns, OutboxConfig(max_bytes=8 << 30))
    core._db.execute("pragma synchronous=off")
    size = 0
    for group in rows_of(count, random.Random(7)):
        core.commit(group, {}, [])
        size += sum(json_size(row) for row in group)
    core.close()
    return size


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


async def drain(folder: Path, url: str, users: dict[str, BusUser], count: int) -> Drained:
    """Send an outbox's rows until the bus has acknowledged them all."""
    hub, node = users["hub"], users[NODE]
    client = await nats.connect(url, user=hub.user, password=hub.password)
    js = client.jetstream()
    for priority in PRIORITIES:
        await js.add_stream(name=stream(priority), subjects=[stream_subject(REGION, priority)])
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
    await client.close()
    return Drained(count, seconds, cpu, core.bytes, 0)


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
    core = OutboxCore(folder / "node" / "outbox.db", time.time_ns, OutboxConfig(max_bytes=8 << 30))
    took: list[float] = []
    due = time.perf_counter()
    groups = rows_of(COMMITS * GROUP, random.Random(8))
    for _ in range(COMMITS):
        group = next(groups)[:10]
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


def main(arguments: list[str]) -> int:
    """Fill, drain and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deep.uplink")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--folder", type=Path, help="where the outbox lies; default a temporary one")
    parser.add_argument("--bus", type=Path, help="where the bus keeps its store; default beside the outbox")
    parser.add_argument("--commits", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.commits:
        commits(options.folder)
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        size = fill(folder, options.rows)
        with bus((options.bus or folder) / f"bus-{os.getpid()}") as (url, users):
            done = asyncio.run(drain(folder, url, users, options.rows))
            done.json_bytes = size
            alone = beside(folder)
            busy = asyncio.run(contended(folder, url, users))
    print(f"rows a second to the bus, acknowledged   {done.rows / done.seconds:12,.0f}")
    print(f"CPU of the deep process, microseconds a row  {done.cpu / done.rows * 1e6:8.2f}")
    print(f"bytes a row on the link                  {done.bytes / done.rows:12.2f}")
    print(f"the same as JSON CloudEvents             {done.json_bytes / done.rows:12.2f}")
    print(f"share of JSON                            {100 * done.bytes / done.json_bytes:11.1f}%")
    print(f"writer's commit p50/p99 alone, ms        {alone[0] * 1e3:8.2f} /{alone[1] * 1e3:8.2f}")
    print(f"writer's commit p50/p99 beside, ms       {busy[0] * 1e3:8.2f} /{busy[1] * 1e3:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
