"""Connections to a web server of ours are bounded in number, time and size."""

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from rimward.cloud import patience
from rimward.cloud.patience import Patience

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
BEATS = b"GET /beats HTTP/1.1\r\nHost: localhost\r\n\r\n"
BEAT = 0.2  # seconds from beat to beat


class Server(uvicorn.Server):
    """Leaves signals to the test."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def beats() -> AsyncIterator[bytes]:
    """Go on for as long as anyone listens."""
    while True:
        yield b"beat\n"
        await asyncio.sleep(BEAT)


async def health(_: Request) -> Response:
    """Answer at once."""
    return PlainTextResponse("ok")


async def endless(_: Request) -> Response:
    """Answer without an end."""
    return StreamingResponse(beats())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where a small site listens."""
    site = Starlette(
        routes=[
            Route("/health", health),
            Route("/beats", endless),
        ]
    )
    server = Server(
        uvicorn.Config(site, http=Patience, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    )
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def knock(port: int, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection and say no more than this."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    return reader, writer


async def is_cut_off(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of a connection that nothing was said on."""
    async with asyncio.timeout(10):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


async def test_a_connection_too_many_is_cut_off_and_there_is_room_again_when_one_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "CONNECTIONS", 2)
    first, second, third = await knock(port), await knock(port), await knock(port)
    assert await is_cut_off(third[0])
    for _, writer in (first, second, third):
        writer.close()
    monkeypatch.setattr(patience, "CONNECTIONS", 3)  # the two may not have been seen to end
    reader, writer = await knock(port, HEALTH)
    async with asyncio.timeout(10):
        assert (await reader.read()).endswith(b"\r\n\r\nok")
    writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: "])
async def test_who_does_not_finish_a_head_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.0)
    reader, writer = await knock(port, said)
    assert await is_cut_off(reader)
    writer.close()


async def test_an_endless_head_ends_the_connection(port: int) -> None:
    reader, writer = await knock(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * patience.HEAD_BYTES)
    assert await is_cut_off(reader)
    writer.close()


async def test_a_listener_is_not_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    reader, writer = await knock(port, BEATS)
    async with asyncio.timeout(10):
        for _ in range(5):  # longer than a head may take
            await reader.readuntil(b"beat\n")
    writer.close()
