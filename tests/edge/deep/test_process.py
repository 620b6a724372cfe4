# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""From a real outbox over a real bus into a real lake, while parts are lost on the way."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deltalake import DeltaTable
from tests.cloud.hub_support import hub
from tests.e2e.natsbus import Bus

from rimward.app.manifest import Column, FactSpec
from rimward.cloud.api import Stored, lanes_stored
from rimward.cloud.ingest.core import Ingest
from rimward.console.ledger import read_ledger
from rimward.edge.api import read_account
from rimward.edge.config import OutboxConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.process import DeepProcess
from rimward.edge.outbox import Forward, OutboxCore
from rimward.edge.outbox import file as file_module
from rimward.wire import Marks

WARM = FactSpec("Warm", "warm", "normal", None, (Column("n", "int64"),), "print-1")
LOUD = FactSpec("Loud", "loud", "critical", None, (Column("n", "int64"),), "print-2")
PATIENCE = 40.0  # seconds


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", "node-1") as running:
        yield running


class Writer:
    """The node's writer: rows into the outbox, and what it should come to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "node").mkdir(exist_ok=True)
        self.sent: list[int] = []
        self.start()

    def start(self) -> None:
        self.core = OutboxCore(self.folder / "node" / "outbox.db", lambda: 10**18, OutboxConfig())

    async def write(self, count: int, *facts: FactSpec) -> None:
        await asyncio.to_thread(self._write, count, facts)

    async def restart(self) -> None:
        await asyncio.to_thread(self.core.close)
        await asyncio.to_thread(self.start)

    def _write(self, count: int, facts: tuple[FactSpec, ...]) -> None:
        for _ in range(count):
            n = len(self.sent)
            self.sent.append(n)
            rows = [
                Forward(
                    fact.table,
                    fact.fingerprint,
                    fact.priority,
                    1,
                    "e",
                    None,
                    None,
                    replayed=False,
                    values=(n,),
                )
                for fact in facts or (WARM,)
            ]
            self.core.commit(rows, {}, [])


@pytest.fixture
def writer(tmp_path: Path) -> Generator[Writer]:
    made = Writer(tmp_path)
    yield made
    made.core.close()


@asynccontextmanager
async def deep(bus: Bus, folder: Path, node: str = "node-1") -> AsyncGenerator[DeepProcess]:
    user = bus.users["node-1"]
    config = DeepConfig(data=str(folder), bus_url=bus.url, user=user.user, password=user.password, node=node)
    process = DeepProcess(config)
    task = asyncio.get_running_loop().create_task(process.run())
    try:
        yield process
    finally:
        while not task.done():  # the bus's client may swallow a cancellation
            task.cancel()
            await asyncio.wait({task}, timeout=0.2)
        process.out.close()


def stored(folder: Path, fact: str = "warm") -> list[int]:
    path = folder / "lake" / fact
    if not path.exists():
        return []
    rows: Any = DeltaTable(str(path)).to_pyarrow_dataset().to_table(columns=["n"])
    return sorted(rows.column("n").to_pylist())


async def until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 (files of the lake)
            await asyncio.sleep(0.05)
    assert condition, what


def status(folder: Path) -> dict[str, Any]:
    return msgspec.json.decode((folder / "node" / "uplink.json").read_bytes())


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    path = folder / "node" / "marks"
    if not path.exists():
        return {}
    return {mark.fact: mark.reached for mark in Marks.decode(path.read_bytes()).marks}


async def test_rows_reach_the_lake_and_their_mark_comes_back(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    await writer.write(50, WARM, LOUD)
    async with hub(bus, tmp_path, WARM, LOUD), deep(bus, tmp_path):
        await until(lambda: marks(tmp_path) == {"warm": (1, 50), "loud": (1, 50)}, "marks")
        await writer.write(10)
        await until(lambda: marks(tmp_path)["warm"] == (1, 60), "later rows too")
    assert (stored(tmp_path), stored(tmp_path, "loud")) == (list(range(60)), list(range(50)))


async def test_a_bus_wiped_while_it_runs_costs_no_row(tmp_path: Path, bus: Bus, writer: Writer) -> None:
    async with deep(bus, tmp_path) as process:
        async with hub(bus, tmp_path, WARM):
            await writer.write(20)
            await until(lambda: marks(tmp_path) == {"warm": (1, 20)}, "first rows")
        await writer.write(30)  # no hub: they lie on the bus alone
        await until(lambda: process.out.core.behind()["warm"]["sent"] == 50, "the bus has them")
        await asyncio.to_thread(bus.kill)
        await asyncio.to_thread(bus.wipe)
        await writer.write(10)
        await asyncio.to_thread(bus.start)
        async with hub(bus, tmp_path, WARM):
            await writer.write(5)
            await until(lambda: stored(tmp_path) == list(range(65)), "all rows")


async def test_starts_of_the_writer_and_of_the_process_change_nothing(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    async with hub(bus, tmp_path, WARM):
        for _ in range(3):
            await writer.write(10)
            async with deep(bus, tmp_path):
                await until(lambda: stored(tmp_path) == writer.sent, "rows")
            await writer.write(5)
            await writer.restart()
        async with deep(bus, tmp_path):
            await until(lambda: stored(tmp_path) == list(range(45)), "rows of every epoch")


async def test_a_table_deleted_under_everything_is_filled_again(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    import shutil

    async with hub(bus, tmp_path, WARM), deep(bus, tmp_path):
        await writer.write(20)
        await until(lambda: marks(tmp_path) == {"warm": (1, 20)}, "first rows")
        shutil.rmtree(tmp_path / "lake" / "warm")
        await writer.write(1)
        await until(lambda: stored(tmp_path) == list(range(21)), "kept rows are sent again")


async def test_a_copied_outbox_is_told_of_and_loses_nothing_silently(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    await writer.write(5)
    (clone := tmp_path / "clone").mkdir()
    other = await asyncio.to_thread(
        Writer, clone
    )  # a node's disk that was lost: the same name, the same first counter
    await other.write(3)
    async with hub(bus, tmp_path, WARM):
        async with deep(bus, tmp_path):
            await until(lambda: marks(tmp_path) == {"warm": (1, 5)}, "the first one's rows")
        async with deep(bus, clone):
            await until(
                lambda: status(clone)["clashes"] == 1 if (clone / "node/uplink.json").exists() else False,
                "told",
            )
        assert marks(clone) == {}
    await asyncio.to_thread(other.core.close)
    assert stored(tmp_path) == list(range(5))
    account = await asyncio.to_thread(read_account, clone)
    assert account is not None
    assert [[one.last for one in lane.held or ()] for lane in account.lanes] == [[1, 2, 3]], "its rows wait"


async def test_a_node_under_a_name_that_the_bus_does_not_know_is_told_so_and_waits(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    await writer.write(5)
    async with hub(bus, tmp_path, WARM), deep(bus, tmp_path, "node-9") as process:
        await until(lambda: process.out.counts["permissions"] > 0, "the bus polices names")
        assert "node-9" in process.out.denied, "by its name"
    assert stored(tmp_path) == []


async def test_a_damaged_chunk_is_a_gap_in_the_lake_and_the_ledger_balances(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    await writer.write(9)
    damage = "update chunk set body = x'00' where first = 4"
    await asyncio.to_thread(writer.core._db.execute, damage)
    async with hub(bus, tmp_path, WARM), deep(bus, tmp_path):
        await until(lambda: marks(tmp_path) == {"warm": (1, 9)}, "the lane goes on")
    assert stored(tmp_path) == [0, 1, 2, 4, 5, 6, 7, 8]
    (found,) = await asyncio.to_thread(lanes_stored, tmp_path)
    assert found == Stored("node-1", "warm", 8, 0, 1, 9, 1, causes={"corrupt": 1})
    (balance,) = await asyncio.to_thread(read_ledger, tmp_path)
    assert (balance.forwarded, balance.discarded, balance.missing) == (9, 1, 0)


async def test_an_outbox_that_was_put_aside_is_left_for_the_new_one(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    async with hub(bus, tmp_path, WARM), deep(bus, tmp_path):
        await writer.write(5)
        await until(lambda: stored(tmp_path) == list(range(5)), "rows of the first")
        await asyncio.to_thread(writer.core.close)
        file = tmp_path / "node" / "outbox.db"
        await asyncio.to_thread(file_module._move, file, file.with_suffix(".1.corrupt"))
        await asyncio.to_thread(writer.start)
        await writer.write(5)
        await until(lambda: stored(tmp_path) == list(range(10)), "rows of the new one")


async def test_a_lake_that_knew_the_rows_already_gets_none_twice(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    await writer.write(30)
    async with hub(bus, tmp_path, WARM), deep(bus, tmp_path):
        await until(lambda: marks(tmp_path) == {"warm": (1, 30)}, "rows")
    (tmp_path / "node" / "marks").unlink()
    async with hub(bus, tmp_path, WARM), deep(bus, tmp_path):
        await until(lambda: marks(tmp_path) == {"warm": (1, 30)}, "the mark again")
    assert stored(tmp_path) == list(range(30))
    again = await asyncio.to_thread(Ingest, tmp_path / "lake", (WARM,), lambda: 10**18)
    assert again.mark("node-1", "warm") == (1, 30)
