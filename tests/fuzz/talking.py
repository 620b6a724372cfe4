"""Conversations over real sockets: bytes out, all that comes back in, and a witness that must not notice."""

import asyncio
import contextlib
import socket

from .mutations import Writes

PATIENCE = 15.0  # seconds after which a conversation hangs; never a measure of speed
MOST = 16 << 20  # bytes that a server may answer to one conversation

PING = b"\x40\x00\xbe\xef"  # an empty CoAP message, which a server answers by a reset [RFC 7252 §4.3]
PONG = b"\x70\x00\xbe\xef"


async def talk(port: int, writes: Writes) -> bytes:
    """Send everything and hang up one way; return all that comes until the server hangs up, which it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(OSError):  # it has hung up meanwhile
                for data in writes:
                    writer.write(data)
                    await writer.drain()
                    await asyncio.sleep(0)
                if writer.can_write_eof():
                    writer.write_eof()
            return await _all(reader)
    finally:
        writer.close()


async def _all(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            answer += data
            assert len(answer) <= MOST, "the server answers without an end"
    return bytes(answer)


async def exchange(port: int, datagrams: Writes) -> list[bytes]:
    """Send datagrams, and a ping behind them; return all that comes before its answer."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))
        for datagram in datagrams:
            await loop.sock_sendall(sock, datagram)
        await loop.sock_sendall(sock, PING)
        answers: list[bytes] = []
        async with asyncio.timeout(PATIENCE):
            while (answer := await loop.sock_recv(sock, 65536)) != PONG:
                answers.append(answer)
        return answers
