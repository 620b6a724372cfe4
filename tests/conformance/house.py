"""A real node whose MQTT gateway listens on a free loopback port, and a client of bytes to speak to it."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from rimward import App, Reject, mqtt
from rimward.edge.config import NodeConfig
from rimward.edge.dispatch import Clocks
from rimward.edge.node import Node

from .reading import Body, Packet, read
from .wire import (
    CONNACK,
    DISCONNECT,
    PING,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SESSION_EXPIRY,
    SUBACK,
    Hello,
    Property,
    Will,
    acknowledge,
    publish,
    subscribe,
)

PATIENCE = 10.0  # seconds that anything may take before a test gives up; never a measure of speed


class Client:
    """One connection: bytes out, packets in, each held against the text as it is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int = 5) -> None:
        self.reader, self.writer, self.version = reader, writer, version
        self.connack = Packet(CONNACK)
        self.standing: Callable[[], int] = lambda: 0  # that the node counts
        self._kept: list[Packet] = []  # read ahead of their turn

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def next(self) -> Packet:
        """Return the next packet.

        Raises:
            EOFError: the server has hung up.
        """
        if self._kept:
            return self._kept.pop(0)
        async with asyncio.timeout(PATIENCE):
            try:
                first = (await self.reader.readexactly(1))[0]
                head = await self._length()
                length = Body(head).varint()
                packet = read(first, await self.reader.readexactly(length), self.version)
            except ConnectionError as error:
                raise EOFError from error
        packet.size = 1 + len(head) + length
        return packet

    async def _length(self) -> bytes:
        head = b""
        while True:
            head += await self.reader.readexactly(1)
            if head[-1] < 0x80 or len(head) == 4:
                return head

    async def expect(self, kind: int) -> Packet:
        """Return the next packet, which must be of a kind."""
        packet = await self.next()
        assert packet.kind == kind, packet
        return packet

    async def message(self) -> Packet:
        """Return the next packet, which must be a message, acknowledged by the rules of its QoS."""
        packet = await self.expect(PUBLISH)
        if packet.qos == 1:
            self.send(acknowledge(PUBACK, packet.packet_id))
        elif packet.qos == 2:
            self.send(acknowledge(PUBREC, packet.packet_id))
            await self._released(packet.packet_id)
            self.send(acknowledge(PUBCOMP, packet.packet_id))
        return packet

    async def _released(self, packet_id: int) -> None:
        """Wait for a PUBREL; messages that come before it are read later."""
        ahead: list[Packet] = []
        while (packet := await self.next()).kind != PUBREL:
            assert packet.kind == PUBLISH, packet
            ahead.append(packet)
        assert packet.packet_id == packet_id
        self._kept = ahead + self._kept

    async def quiet(self) -> None:
        """Make sure that nothing has come: the answer to a PINGREQ is the next packet."""
        self.send(PING)
        await self.expect(PINGRESP)

    async def until_quiet(self) -> list[Packet]:
        """Return all that comes before the answer to a PINGREQ."""
        self.send(PING)
        packets: list[Packet] = []
        while (packet := await self.next()).kind != PINGRESP:
            packets.append(packet)
        return packets

    async def closed(self) -> list[Packet]:
        """Return all packets until the server hangs up, which it must, and hang up."""
        packets: list[Packet] = []
        try:
            while True:
                packets.append(await self.next())
        except EOFError:
            self.hang_up()
            return packets

    async def goodbye(self) -> int | None:
        """Return the reason code of the last packet before the server hangs up; None where it says none."""
        packets = await self.closed()
        if not packets or packets[-1].kind not in {CONNACK, DISCONNECT}:
            return None
        return packets[-1].reason

    async def refused(self, *reasons: int) -> None:
        """Make sure that the server hangs up; MQTT 5 says why, 3.1.1 has no words for it [4.8; 5: 4.13]."""
        reason = await self.goodbye()
        assert reason in (reasons if self.version == 5 else (None,)), reason

    async def subscribe(self, *wishes: str | tuple[str, int], some: tuple[Property, ...] = ()) -> Packet:
        """Subscribe, at QoS 0 where no options are given, and return the SUBACK."""
        pairs = [(wish, 0) if isinstance(wish, str) else wish for wish in wishes]
        self.send(subscribe(77, *pairs, version=self.version, some=some))
        return await self.expect(SUBACK)

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        packet_id: int = 1,
        *,
        retain: bool = False,
        some: tuple[Property, ...] = (),
    ) -> None:
        self.send(publish(topic, payload, qos, packet_id, version=self.version, retain=retain, some=some))

    async def tell(self, topic: str, payload: bytes = b"", qos: int = 1, *, retain: bool = False) -> None:
        """Publish, and see the message through."""
        self.publish(topic, payload, qos, 4711, retain=retain)
        if qos == 1:
            await self.expect(PUBACK)
        elif qos == 2:
            await self.expect(PUBREC)
            self.send(acknowledge(PUBREL, 4711))
            await self.expect(PUBCOMP)
        else:
            await self.quiet()

    def hang_up(self) -> None:
        """Close the connection without a word."""
        self.writer.close()

    async def cut(self) -> None:
        """Cut the connection off, as a network that fails does, and wait until the node has seen it."""
        before = self.standing()
        self.writer.transport.abort()
        async with asyncio.timeout(PATIENCE):
            while self.standing() >= before:  # noqa: ASYNC110 (the node's own state)
                await asyncio.sleep(0)


class House:
    """A node, its clock, which a test may move, and the clients that it is left by."""

    def __init__(self, folder: Path, app: App | None = None, access: str = "") -> None:
        """`access` is the text of an access file; without one everybody may."""
        self.folder, self.app = folder, app or App("conformance", compat="2026-11-01")
        self.access = ""
        if access:
            file = folder / "access.toml"
            file.write_text(access)
            file.chmod(0o600)
            self.access = str(file)
        self.ahead = 0  # ns that the node's clocks are ahead
        self.clients: list[Client] = []
        self.port = self.web = 0

    async def open(self) -> None:
        """Start the node; again after `close`, on the same folder."""
        config = NodeConfig(app="conformance:app", data=str(self.folder), drain=0.2, access=self.access)
        self.node = Node(self.app, config)
        self.node.clocks = Clocks(
            lambda: time.monotonic_ns() + self.ahead, lambda: time.time_ns() + self.ahead
        )
        await self.node.__aenter__()
        mqtt_socket, web_socket = _bound(), _bound()
        self.port, self.web = mqtt_socket.getsockname()[1], web_socket.getsockname()[1]
        await self.node.serve(mqtt_socket, web_socket)

    async def close(self) -> None:
        for client in self.clients:
            client.hang_up()
        self.clients.clear()
        await self.node.__aexit__()

    def forward(self, seconds: float) -> None:
        """Let time pass, and the node see to what is due."""
        self.ahead += round(seconds * 1e9)
        self.node.mqtt.look()

    async def raw(self, version: int = 5) -> Client:
        """Open a connection that has not said anything yet."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        client = Client(reader, writer, version)
        client.standing = lambda: self.node.mqtt.stats()["connections"]
        self.clients.append(client)
        return client

    async def connect(
        self,
        client_id: str = "c",
        version: int = 5,
        *some: Property,
        clean: bool = True,
        keep_alive: int = 0,
        will: Will | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> Client:
        """Open a connection, say hello and read the CONNACK."""
        hello = Hello(client_id, version, clean, keep_alive, will, username, password, some)
        return await self.say(hello, version)

    async def say(self, hello: Hello, version: int = 5) -> Client:
        """Open a connection, say hello and read the CONNACK."""
        client = await self.raw(version)
        client.send(hello.encode())
        client.connack = await client.expect(CONNACK)
        return client

    async def come_back(self, client_id: str, version: int = 5, *some: Property) -> Client:
        """Connect to a session that outlives its connection, by an hour in MQTT 5."""
        lasting = ((SESSION_EXPIRY, 3600), *some) if version == 5 else ()
        return await self.connect(client_id, version, *lasting, clean=False)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the node brings about by itself."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 (another component's state)
                await asyncio.sleep(0)


def _bound() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def picky() -> App:
    """An app that refuses `picky/...` as `invalid`, and answers `ask/...`."""
    app = App("conformance", compat="2026-11-01")

    @app.edge(mqtt("picky/{what}"))
    def refuse(what: str, payload: bytes) -> None:
        raise Reject("invalid", f"no {what} of {len(payload)} bytes")

    @app.edge(mqtt("ask/{what}"))
    def answer(what: str, payload: bytes) -> bytes:
        return what.encode() + payload

    return app


@asynccontextmanager
async def opened(folder: Path, app: App | None = None, access: str = "") -> AsyncGenerator[House, None]:
    """Run a node as long as the block lasts."""
    house = House(folder, app, access)
    await house.open()
    try:
        yield house
    finally:
        await house.close()
