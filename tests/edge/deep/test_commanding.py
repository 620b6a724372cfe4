"""Commands over a real bus: asked for at once, and again when the hub hints, with a node's own rights."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.commands_support import give_command
from tests.e2e.natsbus import Bus

from rimward.cloud.commands.commanding import Commanding as HubCommanding
from rimward.cloud.config import HubConfig
from rimward.edge.commands.file import CommandReader
from rimward.edge.commands.keys import SPACE, STORE
from rimward.edge.config import OutboxConfig
from rimward.edge.deep.commanding import Commanding
from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.link import Link, attend
from rimward.edge.outbox import OutboxCore

PATIENCE = 10.0  # seconds


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", "node-1") as running:
        yield running


@asynccontextmanager
async def running(work: Any) -> AsyncGenerator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():  # the bus's client may swallow a cancellation
            task.cancel()
            await asyncio.wait({task}, timeout=0.2)
        assert task.cancelled() or task.exception() is None, task.exception()


async def test_a_node_has_its_commands_soon_after_they_were_given(tmp_path: Path, bus: Bus) -> None:
    (tmp_path / "node").mkdir()
    core = await asyncio.to_thread(
        OutboxCore, tmp_path / "node" / "outbox.db", lambda: 10**18, OutboxConfig()
    )
    await asyncio.to_thread(core.commit, [], {(SPACE, STORE): b"a"}, [])
    await asyncio.to_thread(give_command, tmp_path, "first", expires="30d")
    hub, node = bus.users["hub"], bus.users["node-1"]
    desk = await asyncio.to_thread(
        HubCommanding,
        HubConfig(data=str(tmp_path), manifest="", app="", bus_url=bus.url, user=hub.user,
                  password=hub.password),
        lambda: 10**18,
    )  # fmt: skip
    config = DeepConfig(data=str(tmp_path), bus_url=bus.url, user=node.user, password=node.password)
    link = Link(bus.url, 0)
    errors: list[Exception] = []

    async def heard(error: Exception) -> None:
        errors.append(error)

    reader = CommandReader(tmp_path / "node")

    async def until(*keys: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while [one.key for one, _ in reader.commands] != [*keys]:
                await asyncio.to_thread(reader.look)
                await asyncio.sleep(0.02)

    await link.open(config, heard)
    async with running(desk.run()), running(attend(link, [Commanding(config)])):
        await until("first")
        await asyncio.to_thread(give_command, tmp_path, "second", expires="30d")
        await until("first", "second")
    assert errors == []
    await link.close()
    await asyncio.to_thread(desk.close)
    await asyncio.to_thread(core.close)
