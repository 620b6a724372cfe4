"""Several buses: the next where one does not answer, and the way back."""

import asyncio
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.e2e.natsbus import Bus
from tests.edge.deep.test_process import Writer, until

from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.link import Link
from rimward.edge.deep.preferring import Preferring
from rimward.edge.deep.process import DeepProcess
from rimward.network.ways import Ways


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", "node-1") as running:
        yield running


def nobody() -> str:
    """Return an address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"nats://127.0.0.1:{probe.getsockname()[1]}"


async def test_a_bus_that_does_not_answer_is_passed_over(tmp_path: Path, bus: Bus) -> None:
    writer = await asyncio.to_thread(Writer, tmp_path)
    user = bus.users["node-1"]
    config = DeepConfig(
        data=str(tmp_path), bus_url=nobody(), bus_urls=(nobody(), bus.url), user=user.user,
        password=user.password,
    )  # fmt: skip
    process = DeepProcess(config)
    task = asyncio.get_running_loop().create_task(process.run())
    await until(lambda: process.out.path.up and process.out.url == bus.url, "the third one")
    task.cancel()
    await asyncio.wait({task})
    process.out.close()
    await asyncio.to_thread(writer.core.close)


async def test_from_a_second_best_bus_the_best_is_looked_for() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    ways = Ways([f"nats://{host}:{port}", "nats://other"], lambda: 0.5)
    with pytest.raises(ConnectionError, match="preferred bus is there again"):
        await Preferring(ways, every=0.0).run(Link("nats://other", 1))
    server.close()


async def test_a_connection_to_the_best_bus_is_left_alone() -> None:
    await Preferring(Ways([nobody()], lambda: 0.5), every=0.0).run(Link("", 0))
