"""A console served on a loopback socket, and a client that says exactly what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Struct

from rimward.console.server import Console, listen, serve

TOKEN = "the-token-of-the-test"


class Answer(Struct):
    status: int
    headers: dict[str, str]
    body: str


class Client:
    """Sends requests as bytes, so that every header is what the test says."""

    def __init__(self, console: Console, links: list[str]) -> None:
        self.port = console.port
        self.link = console.link
        self.links = links  # announced after a used one was opened again
        self.host = f"127.0.0.1:{self.port}"

    async def open(
        self, target: str, *headers: str, method: str = "GET", host: str | None = None
    ) -> asyncio.StreamReader:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {host or self.host}",
            "Connection: close",
            *headers,
            "",
            "",
        ]
        self._writer.write("\r\n".join(lines).encode())
        return reader

    async def ask(self, target: str, *headers: str, method: str = "GET", host: str | None = None) -> Answer:
        reader = await self.open(target, *headers, method=method, host=host)
        async with asyncio.timeout(5):
            raw = (await reader.read()).decode()
        await self.close()
        head, _, body = raw.partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        pairs = (line.partition(": ") for line in rest)
        return Answer(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def sign_in(self) -> str:
        """Open the link and return the header that the browser would send from now on."""
        answer = await self.ask(f"/?token={TOKEN}")
        assert answer.status == 303
        return "Cookie: " + answer.headers["set-cookie"].partition(";")[0]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    links: list[str] = []
    async with serve(tmp_path, listen("127.0.0.1", 0), token=TOKEN, on_link=links.append) as console:
        yield Client(console, links)
