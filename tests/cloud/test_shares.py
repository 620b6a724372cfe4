# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (nats ships partial types)
"""Several ingest processes on a real bus, and real outboxes with real uplinks: no row is lost or doubled."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Barrier

import msgspec
import nats
import nats.js.errors
import pytest
from deltalake.exceptions import CommitFailedError
from tests.e2e.natsbus import Bus

from rimward.app.manifest import Column, FactSpec, Manifest
from rimward.app.manifest import encode as encode_manifest
from rimward.cloud.config import HubConfig
from rimward.cloud.ingest.buckets import bucket_of, share_of
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.ingest.ingesting import Ingesting
from rimward.cloud.ingest.leases import BUCKET
from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.storage import Folder
from rimward.cloud.lake.tables import EPOCHS
from rimward.edge.config import OutboxConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.process import DeepProcess
from rimward.edge.outbox import Forward, OutboxCore
from rimward.edge.outbox.tending import Tending
from rimward.wire import Marks

from . import cloud_support
from .cloud_support import table

WARM = FactSpec("Warm", "warm", "normal", None, (Column("n", "int64"),), "print-1")
NODES = ("n1", "n2")  # the buckets 0 and 9: one of each share
PATIENCE = 40.0  # seconds


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", *NODES) as running:
        yield running


def config_of(bus: Bus, folder: Path, processes: int) -> HubConfig:
    """Write what processes of ingest read."""
    (folder / "manifest.json").write_bytes(encode_manifest(Manifest("a", "", "", "", (WARM,), ())))
    user = bus.users["hub"]
    config = HubConfig(
        data=str(folder), manifest=str(folder / "manifest.json"), app="", bus_url=bus.url, user=user.user,
        password=user.password, gather=0.01, ingest_processes=processes,
    )  # fmt: skip
    (folder / "hub.json").write_bytes(msgspec.json.encode(config))
    return config


@pytest.fixture(autouse=True)
def _greeted_often(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] -- pytest calls it
    monkeypatch.setattr("rimward.edge.deep.greeting.EVERY", 0.4)


class Node:
    """One node: its outbox's writer and its deep process."""

    def __init__(self, bus: Bus, folder: Path, name: str) -> None:
        self.name = name
        self.data = folder / name
        (self.data / "node").mkdir(parents=True)
        self._open()
        self.sent = 0
        user = bus.users[name]
        self._config = DeepConfig(
            data=str(self.data), bus_url=bus.url, user=user.user, password=user.password, node=name
        )

    def _open(self) -> None:
        self.core = OutboxCore(self.data / "node" / "outbox.db", lambda: 10**18, OutboxConfig())
        self.tending = Tending(self.core)

    def write(self, count: int) -> None:
        for _ in range(count):
            self.sent += 1
            row = Forward(
                "warm", "print-1", "normal", 1, "e", None, None, replayed=False, values=(self.sent,)
            )
            self.core.commit([row], {}, [])

    @asynccontextmanager
    async def deep(self) -> AsyncGenerator[DeepProcess]:
        process = DeepProcess(self._config)
        task = asyncio.get_running_loop().create_task(process.run())
        try:
            yield process
        finally:
            while not task.done():  # the bus's client may swallow a cancellation
                task.cancel()
                await asyncio.wait({task}, timeout=0.2)
            process.out.close()

    @property
    def mark(self) -> tuple[int, int]:
        """How far the lake is, as this node knows."""
        path = self.data / "node" / "marks"
        if not path.exists():
            return (0, 0)
        return max((mark.reached for mark in Marks.decode(path.read_bytes()).marks), default=(0, 0))


@asynccontextmanager
async def process(folder: Path, share: int) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run one process of ingest; it is killed in the end."""
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rimward.cloud.ingest.ingesting", str(folder / "hub.json"),
        "--share", str(share),
        stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield made
    finally:
        if made.returncode is None:
            made.kill()
        await made.wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 (files of other processes)
            await asyncio.sleep(0.05)


def stored(folder: Path, node: str) -> list[int]:
    return sorted(row["n"] for row in table(folder) if row["_node"] == node)


def taken_by(nodes: list[Node]) -> bool:
    """Tell whether every node knows that all its rows are in the lake."""
    return all(one.mark == (one.core.epoch.counter, one.sent) for one in nodes)


async def holders(bus: Bus) -> set[bytes | None]:
    """Return who holds the shares."""
    user = bus.users["hub"]
    client = await nats.connect(bus.url, user=user.user, password=user.password)
    try:
        leases = await client.jetstream().key_value(BUCKET)
        return {(await leases.get(f"share.{share}")).value for share in range(2)}
    except (nats.js.errors.NotFoundError, nats.js.errors.KeyDeletedError):
        return set()
    finally:
        await client.close()


async def test_of_two_processes_each_has_its_nodes_and_one_takes_over_those_of_a_dead_one(
    tmp_path: Path, bus: Bus
) -> None:
    assert [share_of(name, 2) for name in NODES] == [bucket_of(name) % 2 for name in NODES] == [0, 1]
    await asyncio.to_thread(config_of, bus, tmp_path, 2)
    nodes = [await asyncio.to_thread(Node, bus, tmp_path, name) for name in NODES]
    first, second = nodes

    async def all_taken(*, rows: int) -> None:
        for one in nodes:
            await asyncio.to_thread(one.write, rows)
        await until(lambda: taken_by(nodes))

    async with first.deep(), second.deep(), process(tmp_path, 0), process(tmp_path, 1) as other:
        async with asyncio.timeout(PATIENCE):
            while len(await holders(bus)) < 2:  # noqa: ASYNC110 (the bus has no event for it; the first may have both at first)
                await asyncio.sleep(0.1)
        await all_taken(rows=20)
        other.kill()
        await all_taken(rows=20)
    for one in nodes:
        assert stored(tmp_path, one.name) == list(range(1, one.sent + 1))
        await asyncio.to_thread(one.core.close)


def test_processes_that_make_a_table_at_once_all_open_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        for number in range(5):
            lake = Folder(tmp_path / str(number))
            made = [threads.submit(DurableTable, lake, "_epochs", EPOCHS) for _ in range(4)]
            tables = [one.result() for one in made]
            assert any(table.created for table in tables)
            assert all(table.there() for table in tables)
            assert len({table.id for table in tables}) == 1


def test_one_of_those_who_make_a_table_makes_it_and_no_other_is_put_in_its_place(tmp_path: Path) -> None:
    barrier, lakes = Barrier(4), [Folder(tmp_path / str(number)) for number in range(10)]

    def make(lake: Folder) -> bool:
        barrier.wait()
        return lake.create("_epochs", EPOCHS, ["_day"])

    with ThreadPoolExecutor(4) as threads:
        for lake in lakes:
            won = list(threads.map(make, [lake] * 4))
            assert sorted(won) == [False, False, False, True]
            assert lake.open("_epochs").version() == 0
            assert lake.tables() == ["_epochs"]


def test_two_live_owners_of_one_bucket_lose_and_double_nothing(tmp_path: Path) -> None:
    """Nothing rests on a lease: whoever comes second to a commit looks again."""
    owners = [cloud_support.ingest(tmp_path) for _ in range(2)]

    def take_all(owner: Ingest) -> int:
        stored, first = 0, 1
        while first <= 60:
            with contextlib.suppress(CommitFailedError):  # as on the bus, where it comes again
                stored += owner.take("warm", [cloud_support.envelope(first, first + 2)]).stored
                first += 3
        return stored

    with ThreadPoolExecutor(len(owners)) as threads:
        assert sum(threads.map(take_all, owners)) == 60
    assert cloud_support.places(tmp_path) == cloud_support.numbers((1, 1, 60))


@asynccontextmanager
async def ingesting(config: HubConfig) -> AsyncGenerator[Ingesting]:
    made = await asyncio.to_thread(Ingesting, config)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        made.close()


def older_lake(folder: Path) -> None:
    """Put an older copy of the lake in its place, and lose the hub's own file."""
    shutil.rmtree(folder / "lake")
    shutil.move(folder / "copy", folder / "lake")
    for path in (folder / "hub").glob("hub.db*"):
        path.unlink()


async def test_an_older_lake_whose_hub_forgot_it_too_is_known_by_what_a_node_was_told(
    tmp_path: Path, bus: Bus
) -> None:
    config = await asyncio.to_thread(config_of, bus, tmp_path, 1)
    node = await asyncio.to_thread(Node, bus, tmp_path, "n1")
    async with node.deep():
        async with ingesting(config):
            await asyncio.to_thread(node.write, 20)
            await until(lambda: taken_by([node]))
        await asyncio.to_thread(shutil.copytree, tmp_path / "lake", tmp_path / "copy")
        async with ingesting(config):
            await asyncio.to_thread(node.write, 20)
            await until(lambda: taken_by([node]))
        await asyncio.to_thread(node.tending.tend)  # what the lake has is kept for a while
        await asyncio.to_thread(older_lake, tmp_path)
        async with ingesting(config) as hub:
            await until(lambda: len(stored(tmp_path, "n1")) == 40)
            assert hub.taking.ingest.lake.generations.current == 1
            await asyncio.to_thread(node.write, 5)
            await until(lambda: taken_by([node]))
    assert stored(tmp_path, "n1") == list(range(1, 46))
    await asyncio.to_thread(node.core.close)


async def test_a_copied_card_moves_above_what_the_hub_knows_and_its_rows_come_once(
    tmp_path: Path, bus: Bus
) -> None:
    """Two disks that began at the same counter: the second's rows get in after it has moved them."""
    config = await asyncio.to_thread(config_of, bus, tmp_path, 1)
    node = await asyncio.to_thread(Node, bus, tmp_path, "n1")
    async with ingesting(config):
        await asyncio.to_thread(node.write, 10)
        async with node.deep():
            await until(lambda: taken_by([node]))
        await asyncio.to_thread(node.core.close)
    await asyncio.to_thread(shutil.move, node.data, tmp_path / "lost")
    other = await asyncio.to_thread(Node, bus, tmp_path, "n1")
    other.sent = 100
    await asyncio.to_thread(other.write, 10)
    assert other.core.epoch.counter == node.core.epoch.counter
    async with ingesting(config), other.deep():  # a hub that has not heard of the first: it is no live one
        await until((other.data / "node" / "rekey").exists)
        await asyncio.to_thread(other.tending.tend)
        await until(lambda: other.mark == (2, 10))
        await asyncio.to_thread(other.write, 5)
        await until(lambda: other.mark == (3, 5))  # the start that ran ends with a move
    assert stored(tmp_path, "n1") == [*range(1, 11), *range(101, 116)]
    await asyncio.to_thread(other.core.close)
