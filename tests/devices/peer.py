"""A small MQTT server on a loopback socket that misbehaves on demand."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from rimward.protocols.mqtt import (
    Packet,
    Pingreq,
    Properties,
    Puback,
    Publish,
    Reason,
    ServerSession,
    Subscribe,
)
from rimward.protocols.mqtt.outgoing import message
from rimward.protocols.mqtt.topics import matches


class Peer:
    """Answers every client by the book, except where a test says otherwise."""

    def __init__(self) -> None:
        self.published: list[Publish] = []
        self.confirmed: list[int] = []  # packet ids that clients acknowledged
        self.connects: list[str] = []  # client ids
        self.on_publish: Callable[[Link, Publish], None] = Link.acknowledge
        self.refusal: Reason | None = None  # of every CONNECT
        self.is_mute = False  # answers nothing at all
        self.grants = 1  # the highest QoS of a subscription; 0x80 on refuses it
        self.links: list[Link] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.get_running_loop().create_server(lambda: Link(self), "127.0.0.1", 0)
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for link in list(self.links):
            link.drop()
        await self.server.wait_closed()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def changed(self) -> None:
        self._changed.set()


class Link(asyncio.Protocol):
    """One client's connection, seen from the server."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.session = ServerSession(0.0)
        self.filters: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if TYPE_CHECKING:  # uvloop's transports are of no asyncio class
            assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.peer.links.append(self)

    def data_received(self, data: bytes) -> None:
        if self.peer.is_mute:
            return
        for packet in self.session.receive_data(data, 0.0):
            self._took(packet)
        self.flush()
        self.peer.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.peer.links.remove(self)
        self.peer.changed()

    def acknowledge(self, packet: Publish) -> None:
        if packet.packet_id:
            self.session.acknowledge(packet.packet_id)

    def send(self, topic: str, payload: bytes, qos: int = 0, properties: Properties | None = None) -> None:
        self.session.deliver(
            message(topic, payload, qos, retain=False, properties=properties), qos, 0.0, retain=False
        )
        self.flush()

    def fail(self, reason: Reason) -> None:
        self.session.fail(reason, "as the test wants")
        self.flush()

    def drop(self) -> None:
        self.transport.abort()

    def flush(self) -> None:
        self.transport.write(self.session.data_to_send())
        if self.session.closed:
            self.transport.close()

    def _took(self, packet: Packet) -> None:
        peer = self.peer
        match packet:
            case Publish():
                peer.published.append(packet)
                peer.on_publish(self, packet)
            case Puback():
                peer.confirmed.append(packet.packet_id)
                self.session.confirmed(packet, 0.0)
            case Subscribe():
                self.filters += [one.filter for one in packet.subscriptions]
                self.session.granted(packet, tuple(max(peer.grants, 0) for _ in packet.subscriptions))
            case Pingreq():
                self.session.pong()
            case _ if not self.session.accepted:
                assert self.session.connect is not None
                peer.connects.append(self.session.connect.client_id)
                if peer.refusal is None:
                    self.session.accept()
                else:
                    self.session.fail(peer.refusal, "as the test wants")
            case _:
                pass


def echo(suffix: str) -> Callable[[Link, Publish], None]:
    """Acknowledge, and send the payload to every subscriber of the topic with another last level."""

    def act(link: Link, packet: Publish) -> None:
        link.acknowledge(packet)
        topic = packet.topic.rpartition("/")[0] + "/" + suffix
        for other in link.peer.links:
            if any(matches(name, topic) for name in other.filters):
                other.send(topic, packet.payload)

    return act


async def closed_port() -> int:
    """Return a port at which nobody listens."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    with suppress(asyncio.CancelledError):
        await server.wait_closed()
    return port
