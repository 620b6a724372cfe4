"""Real clients of every protocol, which try one action each and say how they were answered."""

import asyncio
import itertools
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import ClassVar, Protocol

from msgspec import Struct
from tests.protocols.websocket.frames import BINARY, frame

from rimward.protocols.coap import dotted, request
from rimward.protocols.coap.options import OBSERVE
from rimward.protocols.coap.oscore import Keys
from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Packet,
    Puback,
    Publish,
    Suback,
    Subscription,
    Will,
)
from rimward.protocols.mqtt.client import ClientSession

from .coap_visitor import asked
from .matrix import Action, Kind, Who

PATIENCE = 20.0  # seconds before a test gives up; never a measure of speed
ON_STREAMS = frozenset({"nothing", "password", "wrong", "token", "jwt", "rules", "certificate"})
_addresses = itertools.count(2)


class Shown(Struct, frozen=True):
    """What somebody has to show."""

    username: str | None = None
    password: str | None = None
    bearer: str | None = None
    tls: ssl.SSLContext | None = None
    oscore: Keys | None = None


class Place(Struct):
    """A node: where it listens, what everybody has to show, and somebody who may say everything."""

    ports: dict[str, int]  # by protocol; with "s" at its end where it is TLS
    shown: Callable[[Who], Shown]
    say: Callable[[str, bytes, bool], None]  # topic, payload, retain


class Incoming(Protocol):
    """What bytes come from."""

    async def read(self, size: int, /) -> bytes: ...


class Outgoing(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> None: ...

    def close(self) -> None: ...


class Visitor(Protocol):
    """A client of one protocol."""

    does: ClassVar[frozenset[Kind]]
    shows: ClassVar[frozenset[str]]  # ways to show who one is, as `Who.by` names them

    def __init__(self, place: Place) -> None: ...

    async def tries(self, who: Who, action: Action) -> str:
        """Return "yes", "no" or "who"; any other answer is in the protocol's own words, and wrong."""
        ...


def own_address() -> tuple[str, int]:
    """Return an address of its own: failures of one must not slow down another."""
    number = next(_addresses)
    return f"127.0.{number // 250}.{number % 250 + 1}", 0


async def connected(
    place: Place, protocol: str, shown: Shown
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection from an address of its own."""
    port = place.ports[protocol + "s" * (shown.tls is not None)]
    name = "localhost" if shown.tls is not None else None
    return await asyncio.open_connection(
        "127.0.0.1", port, local_addr=own_address(), ssl=shown.tls, server_hostname=name
    )


class Mqtt:
    """MQTT 5."""

    does: ClassVar[frozenset[Kind]] = frozenset(Kind) - {Kind.REQUEST, Kind.OBSERVE}
    shows: ClassVar[frozenset[str]] = ON_STREAMS
    version = 5
    who = frozenset({0x86})
    no = frozenset({0x87})

    def __init__(self, place: Place) -> None:
        self.place = place

    async def opened(self, shown: Shown) -> "tuple[Incoming, Outgoing]":
        """Open what carries MQTT."""
        return await connected(self.place, "mqtt", shown)

    async def tries(self, who: Who, action: Action) -> str:
        shown = self.place.shown(who)
        reader, writer = await self.opened(shown)
        async with asyncio.timeout(PATIENCE):
            try:
                return await _Try(self, reader, writer).run(who, action, shown)
            finally:
                writer.close()

    def reason(self, found: int) -> str:
        """Return a CONNACK's code as the table has it."""
        return (
            "yes" if not found else "who" if found in self.who else "no" if found in self.no else hex(found)
        )

    def published(self, puback: Puback, dead: int) -> str:
        """Return a PUBACK as the table has it."""
        del dead
        return "yes" if puback.reason in {0, 0x10} else "no" if puback.reason == 0x87 else hex(puback.reason)


class OldMqtt(Mqtt):
    """MQTT 3.1.1, which has no negative PUBACK: what is refused is acknowledged and in the dead letters."""

    version = 4
    who = frozenset({4})
    no = frozenset({5})

    def published(self, puback: Puback, dead: int) -> str:
        del puback
        return "no" if dead else "yes"


METHODS = {"GET": 1, "POST": 2}
HANDSHAKE = """\
GET /mqtt HTTP/1.1
Host: localhost
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Version: 13
Sec-WebSocket-Protocol: mqtt

"""


class _Framed:
    """A stream inside the frames of a WebSocket, for reading and for writing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, size: int) -> bytes:
        """Return what one frame of the node has: none is longer than 64 KiB here."""
        del size
        head = await self._reader.readexactly(2)
        length = head[1]
        if length == 126:
            length = int.from_bytes(await self._reader.readexactly(2), "big")
        data = await self._reader.readexactly(length)
        return data if head[0] & 15 == BINARY else b""

    def write(self, data: bytes) -> None:
        self._writer.write(frame(BINARY, data))

    def close(self) -> None:
        self._writer.close()


class MqttOverWebSocket(Mqtt):
    """MQTT 5 in the frames of a WebSocket, on HTTP's listener."""

    async def opened(self, shown: Shown) -> "tuple[_Framed, _Framed]":
        reader, writer = await connected(self.place, "http", shown)
        writer.write(HANDSHAKE.replace("\n", "\r\n").encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        framed = _Framed(reader, writer)
        return framed, framed


class _Try:
    """One connection of MQTT."""

    def __init__(self, visitor: Mqtt, reader: "Incoming", writer: "Outgoing") -> None:
        self.visitor = visitor
        self.reader = reader
        self.writer = writer
        self.packets: list[Packet] = []

    async def next(self) -> Packet:
        while not self.packets:
            data = await self.reader.read(65536)
            assert data, "the node has hung up"
            self.packets += self.session.receive_data(data)
        return self.packets.pop(0)

    def flush(self) -> None:
        self.writer.write(self.session.data_to_send(0.0))

    async def run(self, who: Who, action: Action, shown: Shown) -> str:
        will = Will(action.what, b"gone", 0, False, None) if action.kind is Kind.WILL else None
        password = shown.bearer or shown.password
        connect = Connect(
            who.id or "somebody", self.visitor.version, True, 0, shown.username,
            None if password is None else password.encode(), will, None,
        )  # fmt: skip
        self.session = ClientSession(connect, 0.0)
        self.flush()
        connack = await self.next()
        assert isinstance(connack, Connack), connack
        entered = self.visitor.reason(connack.reason)
        if entered != "yes" or action.kind is Kind.WILL:
            return entered
        match action.kind:
            case Kind.PUBLISH:
                return await self.publishes(action.what)
            case Kind.SUBSCRIBE:
                return await self.subscribes(action.what)
            case Kind.RETAINED:
                self.visitor.place.say(action.what, b"kept", True)
                return await self.hears("#", action.what)
            case Kind.SHARED:
                return await self.hears("$share/group/#", action.what)
            case _:
                return await self.hears("#", action.what)

    async def publishes(self, topic: str) -> str:
        before = self.visitor.place.ports["dead"]
        self.session.publish(topic, b"{}", 1, retain=False, properties=None)
        self.flush()
        puback = await self.next()
        assert isinstance(puback, Puback), puback
        return self.visitor.published(puback, self.visitor.place.ports["dead"] - before)

    async def subscribes(self, *filters: str) -> str:
        self.session.subscribe(*(Subscription(one, 0) for one in filters))
        self.flush()
        suback = await self.next()
        assert isinstance(suback, Suback), suback
        worst = max(suback.reasons)
        refused = 0x87 if self.visitor.version == 5 else 0x80
        return "no" if worst == refused else "yes" if worst < 0x80 else hex(worst)

    async def hears(self, topic_filter: str, topic: str) -> str:
        """Tell whether a topic's message came before the news, which everybody gets who is known."""
        assert await self.subscribes(topic_filter, "news") == "yes"
        self.visitor.place.say(topic, b"heard", False)
        self.visitor.place.say("news", b"end", False)
        while True:
            packet = await self.next()
            assert isinstance(packet, Publish), packet
            if packet.topic == "news":
                return "no"
            if packet.topic == topic:
                return "yes"


class Http:
    """HTTP/1.1 with Basic, Bearer or a certificate."""

    does: ClassVar[frozenset[Kind]] = frozenset({Kind.REQUEST})
    shows: ClassVar[frozenset[str]] = ON_STREAMS

    def __init__(self, place: Place) -> None:
        self.place = place

    async def tries(self, who: Who, action: Action) -> str:
        shown = self.place.shown(who)
        reader, writer = await connected(self.place, "http", shown)
        lines = [f"{action.what} HTTP/1.1", "Host: localhost", "Content-Length: 0", "Connection: close"]
        if shown.bearer is not None:
            lines.append(f"Authorization: Bearer {shown.bearer}")
        elif shown.username is not None:
            pair = b64encode(f"{shown.username}:{shown.password}".encode()).decode()
            lines.append(f"Authorization: Basic {pair}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
        status = int(answer.split()[1])
        if status == 401:
            assert b"www-authenticate: Basic" in answer
        return {200: "yes", 204: "yes", 404: "yes", 401: "who", 403: "no"}.get(status, str(status))


class Coap:
    """CoAP over UDP, as anyone or by OSCORE."""

    does: ClassVar[frozenset[Kind]] = frozenset({Kind.REQUEST, Kind.OBSERVE})
    shows: ClassVar[frozenset[str]] = frozenset({"nothing", "oscore"})

    def __init__(self, place: Place) -> None:
        self.place = place
        self._numbers = itertools.count()

    async def tries(self, who: Who, action: Action) -> str:
        method, _, path = action.what.rpartition(" ")
        message = request(METHODS[method or "GET"], path)
        if action.kind is Kind.OBSERVE:
            message.options.insert(0, (OBSERVE, b""))
        keys, port = self.place.shown(who).oscore, self.place.ports["coap"]
        async with asyncio.timeout(PATIENCE):
            answer = await asked(message, keys, own_address(), port, self._numbers)
        found = {"2": "yes", "4.04": "yes", "4.01": "who", "4.03": "no"}
        if action.kind is Kind.OBSERVE and answer.code < 96 and answer.get(OBSERVE) is None:
            return "answered, and not observed"
        code = dotted(answer.code)
        return found.get(code) or found.get(code[0], code)


VISITORS: dict[str, Callable[[Place], Visitor]] = {
    "MQTT 5": Mqtt,
    "MQTT 3.1.1": OldMqtt,
    "MQTT over WebSocket": MqttOverWebSocket,
    "HTTP": Http,
    "CoAP": Coap,
}
