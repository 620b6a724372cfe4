"""A gateway that tells each peer who it is, behind real listeners."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from rimward.edge.gateways.listening.config import AcceptConfig, CertificateFiles, ListenerConfig
from rimward.edge.gateways.listening.listening import Listening
from rimward.edge.gateways.peers import Peer, peer_of

PATIENCE = 20.0  # seconds that anything may take before a test gives up; never a measure of speed


class Mirror(asyncio.Protocol):
    """Says in one line of JSON who the peer is, then sends back what comes."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._peer = peer_of(transport)
        transport.write(msgspec.json.encode(self._peer) + b"\n")

    def data_received(self, data: bytes) -> None:
        assert peer_of(self._transport, self._peer.listener) == self._peer  # whenever it is asked
        self._transport.write(data)


class House:
    """The listeners, and their ports by name."""

    def __init__(self, listening: Listening, ports: dict[str, int]) -> None:
        self.listening = listening
        self.ports = ports

    async def until(self, counter: str, count: int = 1) -> None:
        """Wait until something was counted."""
        async with asyncio.timeout(PATIENCE):
            while self.listening.stats().get(counter, 0) < count:  # noqa: ASYNC110 -- counters tell nobody
                await asyncio.sleep(0.005)

    def count(self, counter: str) -> int:
        """Return a counter's value."""
        return self.listening.stats().get(counter, 0)


@asynccontextmanager
async def house(
    accept: AcceptConfig | None = None,
    make: Callable[[], asyncio.Protocol] = Mirror,
    wall: Callable[[], int] = time.time_ns,
    **listeners: ListenerConfig,
) -> AsyncGenerator[House]:
    """Listen as configured, on free ports of loopback where no address says otherwise."""
    listening = Listening(
        listeners,
        accept or AcceptConfig(),
        dict.fromkeys(("mqtt", "http", "coap+tcp"), make),
        {},
        may_be_open=True,
        wall=wall,
    )
    sockets = {
        name: socket.create_server(("127.0.0.1", 0))
        for name, listener in listeners.items()
        if not listener.address
    }
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    await listening.open(sockets)
    try:
        yield House(listening, ports)
    finally:
        await listening.close()


Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(port: int, context: ssl.SSLContext | None = None, name: str = "") -> AsyncGenerator[Line]:
    """Connect, with TLS where a context is given; `name` is asked for by SNI and checked."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name or None
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def greeting(line: Line) -> Peer:
    """Return who the gateway says that we are."""
    async with asyncio.timeout(PATIENCE):
        return msgspec.json.decode(await line[0].readline(), type=Peer)


async def ended(line: Line) -> bool:
    """Wait until the other side has hung up, and tell whether it did so without a word."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await line[0].read() == b""
        except ConnectionError:
            return True


def trusting(ca: str, files: CertificateFiles | None = None) -> ssl.SSLContext:
    """Return a client that trusts an authority, with a certificate of its own if one is given."""
    context = ssl.create_default_context(cafile=ca)
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context
