"""A small door, a gateway on a loopback socket, and a client that sends what it is told."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

import msgspec

from rimward.edge.access import Access
from rimward.edge.dispatch.types import (
    Commits,
    Entry,
    Message,
    Refusal,
    Reply,
    Request,
    Retained,
    Sender,
    Ticket,
)
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.gateway import MqttGateway
from rimward.events import REFUSALS
from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Packet,
    Properties,
    Publish,
    Subscription,
    Unsuback,
    Will,
)
from rimward.protocols.mqtt.client import ClientSession

PATIENCE = 20.0  # seconds that anything may take before a test gives up; never a measure of speed


class FakeDoor:
    """Takes every message, and puts on disk what the gateway adds; topics say what else is to happen.

    refuse/KIND is refused, wait/... waits for `finish`, reply/... is answered, act/... publishes to acted/...
    """

    def __init__(self, disk: "Disk") -> None:
        self.disk = disk
        self.messages: list[Message] = []
        self.commits: dict[str, Commits] = {}  # of those that wait
        self.tickets: dict[str, Ticket] = {}
        self.publish: Callable[[str, bytes, int, bool], int] | None = None

    def message(self, message: Message) -> Ticket | None:
        """Do what the topic says."""
        self.messages.append(message)
        what, _, rest = message.topic.partition("/")
        if what == "raise":
            raise RuntimeError("the door is broken")
        if what == "act" and self.publish is not None:
            self.publish(f"acted/{rest}", message.payload, message.qos, False)
        if what == "wait":
            if message.commits is not None:
                self.commits[message.topic] = message.commits
            return self.tickets.setdefault(message.topic, Ticket())
        reply, refusal = None, None
        if what == "reply":
            reply = Reply(b"answer to " + message.payload, content_type="text/plain")
        elif what == "refuse":
            refusal = Refusal(rest, f"told to refuse: {rest}")
        return self._end(message.commits, reply, refusal)

    def _end(self, commits: Commits | None, reply: Reply | None, refusal: Refusal | None) -> Ticket | None:
        """Commit what the gateway adds, then answer."""
        entries: Sequence[Entry] = ()
        if commits is not None and (refusal is None or not REFUSALS[refusal.kind].later):
            entries = commits(reply, refusal)
        if not entries and reply is None and refusal is None:
            return None
        ticket = Ticket()
        ticket.reply = reply
        if not entries:
            ticket.finish(refusal)
            return ticket
        kept = self.disk.keep(entries)
        if kept.done:
            ticket.finish(kept.refusal or refusal)
        else:
            kept.on_done = lambda kept: ticket.finish(kept.refusal or refusal)
        return ticket

    def plain(self, topic: str, payload: bytes, qos: int, sender: Sender, read_at: int) -> Ticket | None:
        """Do the same."""
        return self.message(Message(topic, payload, qos, sender, read_at))

    def request(self, request: Request) -> Ticket:
        """Answer nothing: no HTTP comes here."""
        raise NotImplementedError(request)

    def socket(self, path: str) -> None:
        """Serve no WebSocket."""

    def finish(self, topic: str, refusal: Refusal | None = None) -> None:
        """Answer a message that waits."""
        ticket = self.tickets.pop(topic)
        ended = self._end(self.commits.pop(topic, None), None, refusal)
        if ended is None or ended.done:
            ticket.finish(refusal if ended is None else ended.refusal)
        else:
            ended.on_done = lambda ended: ticket.finish(ended.refusal)

    @property
    def topics(self) -> list[str]:
        """Return the topics of all messages, in order."""
        return [message.topic for message in self.messages]


class Disk:
    """What the gateway keeps: entries by space and key; commits wait for `sync` when it is slow."""

    def __init__(self) -> None:
        self.stored: dict[str, Retained] = {}
        self.spaces: dict[str, dict[str, bytes]] = {}
        self.slow = False
        self.full = False
        self.commits = 0
        self.waiting: list[tuple[Ticket, Sequence[Entry]]] = []
        self.lazy: dict[tuple[str, str], Callable[[], bytes | None]] = {}
        self.offset = 10**18  # ns between the wall clock and the monotonic one

    def load_retained(self) -> dict[str, Retained]:
        """Return what is retained."""
        return dict(self.stored)

    def retained(self, topic: str, message: Retained | None) -> Entry:
        """Return a retained message's entry."""
        return ("retained", topic, None if message is None else msgspec.msgpack.encode(message))

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space holds."""
        return dict(self.spaces.get(space, {}))

    def keep(self, entries: Sequence[Entry]) -> Ticket:
        """Keep entries, now or at the next `sync`."""
        ticket = Ticket()
        self.waiting.append((ticket, entries))
        if not self.slow:
            self.sync()
        return ticket

    def lazily(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        """Keep an entry at the next `sync`."""
        self.lazy[space, key] = encode

    def wall_of(self, monotonic: float) -> int:
        """Return the wall clock, ns."""
        return round(monotonic * 1e9) + self.offset

    def monotonic_of(self, wall: int) -> float:
        """Return the monotonic clock, seconds."""
        return (wall - self.offset) * 1e-9

    def sync(self) -> None:
        """Commit what waits."""
        waiting, self.waiting = self.waiting, []
        for ticket, entries in waiting:
            if self.full:
                ticket.finish(Refusal("full", "the disk is full"))
                continue
            self.commits += 1
            for entry in entries:
                self._put(*entry)
            for (space, key), encode in self.lazy.items():
                self._put(space, key, encode())
            self.lazy.clear()
            ticket.finish()

    def _put(self, space: str, key: str, value: bytes | None) -> None:
        kept = self.spaces.setdefault(space, {})
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
        if space == "retained":
            self.stored.pop(key, None)
            if value is not None:
                self.stored[key] = msgspec.msgpack.decode(value, type=Retained)


class Site:
    """A gateway that serves on a free loopback port, with its door and its disk."""

    def __init__(
        self,
        config: MqttConfig | None = None,
        disk: Disk | None = None,
        access: Access | None = None,
        priority: Callable[[str], str] = lambda _: "normal",
    ) -> None:
        """A `disk` of an earlier Site is what its node has left when it was killed."""
        self.disk = disk or Disk()
        self.door = FakeDoor(self.disk)
        self.dead: list[tuple[str, str, str, str, bytes]] = []
        self.burials: list[Ticket] = []  # of dead letters that a slow disk has not taken yet
        self.now = time.monotonic_ns()  # the gateway's clock; tests move it
        self.gateway = MqttGateway(
            self.door,
            clock=lambda: self.now,
            config=config or MqttConfig(),
            disk=self.disk,
            on_dead=self._bury,
            access=access,
            priority=priority,
        )
        self.door.publish = self._publish
        self.port = 0
        self.clients: list[Client] = []
        self.leftovers: list[Callable[[], None]] = []  # what hangs up other clients

    def _publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> int:  # noqa: FBT001 (the fake's own)
        return self.gateway.publish(topic, payload, qos, retain=retain)

    def _bury(self, reason: str, detail: str, sender: Sender, topic: str, payload: bytes) -> Ticket:
        ticket = Ticket()
        if self.disk.full:
            ticket.finish(Refusal("full", "the disk is full"))
            return ticket
        self.dead.append((reason, detail, sender.id, topic, payload))
        if self.disk.slow:
            self.burials.append(ticket)
        else:
            ticket.finish()
        return ticket

    async def __aenter__(self) -> Self:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        await self.gateway.serve(sock)
        return self

    async def __aexit__(self, *_: object) -> None:
        for hang_up in [*self.leftovers, *(client.hang_up for client in self.clients)]:
            hang_up()
        await self.gateway.close(5.0)

    async def client(
        self,
        client_id: str = "c",
        version: int = 5,
        *,
        will: Will | None = None,
        keep_alive: int = 0,
        properties: Properties | None = None,
        username: str | None = None,
        password: bytes | None = None,
    ) -> "Client":
        """Connect a client and read its CONNACK."""
        connect = Connect(client_id, version, True, keep_alive, username, password, will, properties)
        client = await Client.open(self.port, connect)
        self.clients.append(client)
        await client.next()
        return client

    async def raw(self) -> "Raw":
        """Open a bare connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Raw(reader, writer)

    def stat(self, name: str) -> int:
        """Return one of the gateway's figures."""
        return self.gateway.stats().get(name, 0)


class Raw:
    """A bare connection: bytes out, bytes in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def read(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Return all bytes until the gateway hangs up, and hang up."""
        async with asyncio.timeout(PATIENCE):
            data = await self.reader.read()
        self.hang_up()
        return data

    def hang_up(self) -> None:
        """Close the connection without a word."""
        self.writer.close()


class Client(Raw):
    """An MQTT client on our own session; the test acknowledges what it reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connect: Connect) -> None:
        super().__init__(reader, writer)
        self.session = ClientSession(connect, 0.0)
        self.packets: list[Packet] = []

    @classmethod
    async def open(cls, port: int, connect: Connect) -> Self:
        """Connect and send the CONNECT."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = cls(reader, writer, connect)
        client.flush()
        return client

    def flush(self) -> None:
        """Send what the session has."""
        self.writer.write(self.session.data_to_send(0.0))

    async def next(self) -> Packet:
        """Return the next packet."""
        async with asyncio.timeout(PATIENCE):
            while not self.packets:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError("the gateway has hung up")
                self.packets += self.session.receive_data(data)
                assert self.session.error is None, self.session.error
        return self.packets.pop(0)

    async def message(self) -> Publish:
        """Return the next packet, which must be a message, acknowledged."""
        packet = await self.next()
        assert isinstance(packet, Publish), packet
        if packet.qos:
            self.session.acknowledge(packet.packet_id)
            self.flush()
        return packet

    async def ended(self) -> Packet | None:
        """Return the last packet before the gateway hangs up."""
        last: Packet | None = None
        try:
            while True:
                last = await self.next()
        except EOFError:
            self.hang_up()
            return last

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Send a message."""
        packet_id = self.session.publish(topic, payload, qos, retain=retain, properties=properties)
        self.flush()
        return packet_id

    async def subscribe(self, *wishes: Subscription | str) -> Packet:
        """Subscribe at QoS 1 and return the SUBACK."""
        self.session.subscribe(*(Subscription(w, 1) if isinstance(w, str) else w for w in wishes))
        self.flush()
        return await self.next()

    async def unsubscribe(self, *filters: str) -> Unsuback:
        """Unsubscribe and return the UNSUBACK."""
        self.session.unsubscribe(*filters)
        self.flush()
        packet = await self.next()
        assert isinstance(packet, Unsuback)
        return packet

    def goodbye(self) -> None:
        """Send DISCONNECT."""
        self.session.disconnect()
        self.flush()

    def stop_reading(self) -> None:
        """Leave what comes in the socket, as a slow device does."""
        self._incoming().pause_reading()

    def read_again(self) -> None:
        """Read what has come."""
        self._incoming().resume_reading()

    def _incoming(self) -> asyncio.ReadTransport:
        transport = self.writer.transport
        if TYPE_CHECKING:
            assert isinstance(transport, asyncio.Transport)
        return transport

    @property
    def connack(self) -> Connack:
        """Return the CONNACK."""
        assert self.session.connack is not None
        return self.session.connack


@asynccontextmanager
async def serving(
    config: MqttConfig | None = None,
    disk: Disk | None = None,
    access: Access | None = None,
    priority: Callable[[str], str] = lambda _: "normal",
) -> AsyncGenerator[Site, None]:
    """Serve a gateway on a free port."""
    async with Site(config, disk, access, priority) as site:
        yield site


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that the loop brings about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (the condition is another component's state)
            await asyncio.sleep(0)
