"""Connections to the console are bounded in number, time and size."""

import asyncio

import pytest

from rimward.console import patience

from .conftest import Client


async def knock(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection and say nothing."""
    return await asyncio.open_connection("127.0.0.1", client.port)


async def is_cut_off(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of a connection that nothing was said on."""
    async with asyncio.timeout(10):
        try:
            return await reader.read(1) == b""
        except ConnectionError:
            return True


async def test_a_connection_too_many_is_cut_off_and_there_is_room_again_when_one_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "CONNECTIONS", 2)
    cookie = await client.sign_in()
    first, second, third = await knock(client), await knock(client), await knock(client)
    assert await is_cut_off(third[0])
    for _, writer in (first, second, third):
        writer.close()
    monkeypatch.setattr(patience, "CONNECTIONS", 3)  # the two may not have been seen to end
    assert (await client.ask("/healthz", cookie)).status == 200


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: "])
async def test_who_does_not_finish_a_head_is_cut_off(
    client: Client, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.0)
    reader, writer = await knock(client)
    writer.write(said)
    assert await is_cut_off(reader)
    writer.close()


async def test_an_endless_head_ends_the_connection(client: Client) -> None:
    reader, writer = await knock(client)
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * patience.HEAD_BYTES)
    assert await is_cut_off(reader)
    writer.close()


async def test_a_listener_is_not_cut_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    cookie = await client.sign_in()
    reader = await client.open("/events", cookie)
    async with asyncio.timeout(10):
        for _ in range(2):
            await reader.readuntil(b"event: beat\n")  # one every two seconds
    await client.close()
