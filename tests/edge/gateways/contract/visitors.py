"""Devices of every protocol that tell a node one thing at a time, and what each understood of the answer."""

import asyncio
from collections.abc import Callable
from typing import Protocol, Self

import msgspec
from msgspec import Struct
from tests.protocols.websocket.frames import CLOSE, TEXT, frame

from rimward.events.refusals import Words
from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Publish,
    Subscription,
)
from rimward.protocols.mqtt.client import ClientSession

PATIENCE = 20.0  # seconds before a test gives up; never a measure of speed


class Heard(Struct):
    """What a device understood."""

    code: str  # "ok", or the refusal in the protocol's own code; "closed" where that is all it can say
    detail: str = ""  # the refusal's text
    body: bytes = b""  # the reply


class Visitor(Protocol):
    """A device of one protocol."""

    gateway: str  # whose figures count it
    replies: bool  # the protocol carries a reply to an event

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def tell(self, path: str, body: bytes) -> Heard:
        """Send an event that has to be answered, and return what came back."""
        ...

    async def babble(self) -> str:
        """Break the protocol's rules and return the code of the goodbye, "closed" where it has none."""
        ...

    @staticmethod
    def code(words: Words) -> str:
        """Return what the table of refusals says in this protocol."""
        ...


class Stream:
    """A TCP connection with patience."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def read(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read(65536)


class Mqtt(Stream):
    """A device that publishes at QoS 1."""

    gateway = "mqtt"
    version = 5
    replies = True

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.session = ClientSession(Connect(f"visitor-{id(self):x}", self.version, True, 0), 0.0)
        self.packets: list[Packet] = []
        self.flush()
        assert isinstance(await self.next(), Connack)
        if self.replies:
            self.session.subscribe(Subscription(f"answers/{id(self):x}", 0))
            self.flush()
            await self.next()
        return self

    def flush(self) -> None:
        self.writer.write(self.session.data_to_send(0.0))

    async def next(self) -> Packet | None:
        while not self.packets:
            data = await self.read()
            if not data:
                return None
            self.packets += self.session.receive_data(data)
        return self.packets.pop(0)

    async def tell(self, path: str, body: bytes) -> Heard:
        asked = Properties(response_topic=f"answers/{id(self):x}") if self.replies else None
        self.session.publish(path, body, 1, retain=False, properties=asked)
        self.flush()
        packet = await self.next()
        if packet is None:
            return Heard("closed")
        assert isinstance(packet, Puback), packet
        if packet.reason:
            text = packet.properties.reason_string if packet.properties is not None else None
            return Heard(f"0x{packet.reason:02x}", text or "")
        if not self.replies:
            return Heard("ok")
        answer = await self.next()
        assert isinstance(answer, Publish), answer
        return Heard("ok", body=answer.payload)

    async def babble(self) -> str:
        self.writer.write(b"\x00\x00")  # packet type 0 is reserved [2.1.2]
        packet = await self.next()
        if packet is None:
            return "closed"
        assert isinstance(packet, Disconnect), packet
        return f"0x{packet.reason:02x}"

    @staticmethod
    def code(words: Words) -> str:
        return f"0x{words.mqtt5:02x}"


class OldMqtt(Mqtt):
    """The same in MQTT 3.1.1, which has no reasons."""

    version = 4
    replies = False

    @staticmethod
    def code(words: Words) -> str:
        return "closed" if words.later else "ok"


class Http(Stream):
    """A caller that posts."""

    gateway = "http"
    replies = True

    async def tell(self, path: str, body: bytes) -> Heard:
        head = f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        status, answer = await self.answer()
        return Heard("ok", body=answer) if status < 300 else Heard(str(status), answer.decode())

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode().lower().split("\r\n")
            lengths = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
            return int(lines[0].split()[1]), await self.reader.readexactly(lengths[0] if lengths else 0)

    async def babble(self) -> str:
        self.writer.write(b"\x00\x01 not http\r\n\r\n")
        status, _ = await self.answer()
        assert await self.read() == b"", "the connection goes on"
        return str(status)

    @staticmethod
    def code(words: Words) -> str:
        return str(words.http)


class Ws(Stream):
    """A page that has opened a socket; one socket a path."""

    gateway = "http"
    replies = True

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.path: str | None = None

    async def tell(self, path: str, body: bytes) -> Heard:
        if self.path is None:
            await self.open(path)
        assert path == self.path
        self.writer.write(frame(TEXT, body))
        _, answer = await self.next()
        if answer.startswith(b'{"type":"about:blank"'):
            return Heard(str(msgspec.json.decode(answer)["status"]), answer.decode())
        return Heard("ok", body=answer)

    async def open(self, path: str) -> None:
        lines = ["Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        self.writer.write("\r\n".join([f"GET /{path} HTTP/1.1", *lines, key, "", ""]).encode())
        async with asyncio.timeout(PATIENCE):
            assert (await self.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        self.path = path

    async def next(self) -> tuple[int, bytes]:
        """Return the opcode and the data of the next frame."""
        async with asyncio.timeout(PATIENCE):
            first, size = await self.reader.readexactly(2)
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            return first & 15, await self.reader.readexactly(size)

    async def babble(self) -> str:
        await self.open("ask/0")
        self.writer.write(frame(3, b"x"))  # an opcode that is reserved [RFC 6455 §5.2]
        opcode, data = await self.next()
        assert opcode == CLOSE
        assert await self.read() == b"", "the connection goes on"
        return str(int.from_bytes(data[:2], "big"))

    @staticmethod
    def code(words: Words) -> str:
        return str(words.http)


VISITORS: dict[str, Callable[[int], Visitor]] = {"mqtt5": Mqtt, "mqtt3": OldMqtt, "http": Http, "ws": Ws}
GOODBYES = {
    "mqtt5": "0x81",
    "mqtt3": "closed",
    "http": "400",
    "ws": "1002",
}  # to who breaks the protocol's rules
