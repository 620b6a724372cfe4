"""An HTTP gateway on a real loopback socket, with a small door that answers what a test wants."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rimward.edge.dispatch.types import Message, Refusal, Reply, Request, Sender, Socket, Ticket
from rimward.edge.gateways.http import HttpConfig, HttpGateway

SECOND = 1_000_000_000
HOST = "Host: localhost\r\n"


@dataclass
class Porch:
    """A door: `/echo` tells the request, `/refuse/KIND` refuses, `/later` waits for `let_in`."""

    requests: list[Request] = field(default_factory=list[Request])
    waiting: list[tuple[Request, Ticket]] = field(default_factory=list[tuple[Request, Ticket]])

    def message(self, message: Message) -> Ticket | None:
        raise NotImplementedError(message)

    def request(self, request: Request) -> Ticket:
        self.requests.append(request)
        ticket = Ticket()
        if request.path.startswith("/later"):
            self.waiting.append((request, ticket))
        elif request.path.startswith("/refuse/"):
            ticket.finish(Refusal(request.path.rpartition("/")[2], "because"))
        elif request.path == "/broken":
            raise RuntimeError("a bug of ours")
        elif request.path == "/empty":
            ticket.finish()
        else:
            self.reply(ticket, self.answer(request))
        return ticket

    def socket(self, path: str) -> Socket | None:
        return Socket(None) if path.startswith("/ws") else None

    def answer(self, request: Request) -> Reply:
        if request.path == "/405":
            return Reply(status=405, headers={"allow": "GET, HEAD"})
        if request.path == "/odd":
            return Reply(b"x", 42)
        if request.path == "/headers":
            return Reply(b"", 200, "text/plain", {"x-device": "a\r\nset-cookie: b"})
        if request.path.startswith("/big"):
            return Reply(b"b" * (256 << 10), 200, "application/octet-stream")
        return Reply(f"{request.method} {request.path} {request.query}".encode() + request.body)

    def reply(self, ticket: Ticket, reply: Reply) -> None:
        ticket.reply = reply
        ticket.finish()

    def let_in(self) -> None:
        """Answer all that waits, last come first."""
        while self.waiting:
            request, ticket = self.waiting.pop()
            self.reply(ticket, Reply(request.path.encode()))


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: int = 1

    def __call__(self) -> int:
        return self.now


@dataclass
class House:
    """A gateway that listens, its door, its clock, and what it buried."""

    gateway: HttpGateway
    port: int
    porch: Porch
    clock: Clock
    dead: list[tuple[str, str, Sender, str, bytes]]

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, data: str | bytes) -> bytes:
        """Send bytes and return all that comes until the gateway hangs up."""
        reader, writer = await self.open()
        writer.write(data.encode() if isinstance(data, str) else data)
        answer = await reader.read(-1)
        writer.close()
        return answer

    async def get(self, path: str, *lines: str) -> bytes:
        """Send one GET and return its answer."""
        head = "".join(f"{line}\r\n" for line in lines) or HOST
        return await self.exchange(f"GET {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n")

    def pass_time(self, seconds: float) -> None:
        """Move the clock and look at the deadlines, as the gateway does once a second."""
        self.clock.now += round(seconds * SECOND)
        for connection in list(self.gateway._connections):
            connection.check(self.clock.now)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something has happened."""
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 (the gateway counts, it does not signal)
                await asyncio.sleep(0.001)

    async def until_gone(self) -> None:
        """Wait until every connection has ended."""
        await self.until(lambda: self.gateway.stats()["connections"] == 0)


def build(config: HttpConfig) -> tuple[House, socket.socket]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    porch, clock, dead = Porch(), Clock(), list[tuple[str, str, Sender, str, bytes]]()

    def bury(reason: str, detail: str, sender: Sender, source: str, payload: bytes) -> Ticket:
        dead.append((reason, detail, sender, source, payload))
        return Ticket()

    gateway = HttpGateway(porch, clock=clock, config=config, on_dead=bury)
    return House(gateway, sock.getsockname()[1], porch, clock, dead), sock


CONFIG = HttpConfig(
    hosts=("node.example",),
    origins=("https://app.example",),
    max_connections=8,
    max_pipeline=4,
    max_body=1000,
)


@asynccontextmanager
async def open_house(config: HttpConfig = CONFIG) -> AsyncGenerator[House]:
    """A gateway that listens while the test runs."""
    house, sock = build(config)
    await house.gateway.serve(sock)
    try:
        yield house
    finally:
        await house.gateway.close(drain=1.0)


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


def problem(answer: bytes) -> dict[str, Any]:
    status, headers, body = parse(answer)
    assert headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = msgspec.json.decode(body)
    assert document["status"] == status
    return document
