"""A real node around an app's text, on a loopback socket, for HTTP and WebSocket."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rimward.app.loading import load
from rimward.edge.config import NodeConfig
from rimward.edge.node import Node

from .http_house import parse

Answer = tuple[int, dict[str, str], bytes]
HEAD = """
import asyncio
from collections.abc import AsyncIterator
from msgspec import Struct
from rimward import App, CloudEvent, Device, Event, Reject, Reply, State, States, Update, http, webhook, ws

app = App("web", compat="2026-11-01")


@app.fact
class Order(Struct):
    number: int


@app.state(key="room", durable=True)
class Room(Struct):
    count: int = 0


"""


@dataclass
class Web:
    """The node, and a caller of it."""

    node: Node
    port: int

    async def call(self, method: str, path: str, *lines: str, body: bytes = b"") -> Answer:
        """Send one request on a connection of its own."""
        length = [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join(
            [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *length, *lines, "", ""]
        )
        return parse(await self.exchange(head.encode("latin-1") + body))

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes, return all that comes."""
        reader, writer = await self.open()
        writer.write(data)
        answer = await reader.read(-1)
        writer.close()
        return answer

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something has happened."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 (a node counts, it does not signal)
                await asyncio.sleep(0.001)


@asynccontextmanager
async def open_web(folder: Path, functions: str, access: str = "") -> AsyncGenerator[Web]:
    """A node that listens while the test runs; its data stay in the folder, and its `access.toml`."""
    (folder / "access.toml").write_text(access)
    file = folder / "app.py"
    file.write_text(HEAD + functions)
    with socket.socket() as sock, socket.socket() as mqtt:
        for one in (sock, mqtt):
            one.bind(("127.0.0.1", 0))
        config = NodeConfig(
            app=str(file), data=str(folder), access=str(folder / "access.toml") if access else ""
        )
        async with Node(load(str(file)), config) as node:
            await node.serve(mqtt, sock)
            yield Web(node, sock.getsockname()[1])
