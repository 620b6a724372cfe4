"""Section 6: MQTT in WebSocket frames, made and read by hand [RFC 6455], in both versions."""

import asyncio
import base64
import hashlib
import os
import struct

import pytest

from .house import PATIENCE, Client, House
from .reading import Packet
from .wire import CONNACK, PING, PINGRESP, PUBLISH, SUBACK, Hello, publish, subscribe

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE = 1, 2, 8


class Web:
    """A WebSocket connection: frames out, the bytes of binary frames in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int) -> None:
        self.reader, self.writer = reader, writer
        self.inner = asyncio.StreamReader()  # what the binary frames carry
        self.client = Client(self.inner, writer, version)
        self.head = b""
        self.code: int | None = None  # of the server's close frame

    async def hand_shake(self, port: int, *, protocol: str | None = "mqtt", path: str = "/mqtt") -> int:
        """Ask for an upgrade; return the status."""
        key = base64.b64encode(os.urandom(16))
        offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol is not None else ""
        self.writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"{offer}\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(self.head.split()[1])
        if status == 101:
            accepted = base64.b64encode(hashlib.sha1(key + GUID).digest())
            assert accepted in self.head
        return status

    def frame(self, data: bytes, kind: int = BINARY, *, last: bool = True) -> None:
        """Send one frame, masked as a client's must be."""
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
        self.writer.write(bytes([(0x80 if last else 0) | kind]) + size + mask + masked)

    async def next(self) -> Packet:
        """Return the next packet."""
        reading = asyncio.ensure_future(self.client.next())
        try:
            while not reading.done():
                await asyncio.sleep(0)
                if not reading.done() and not await self._one():
                    self.inner.feed_eof()
                    break
            return await reading
        finally:
            reading.cancel()

    async def _one(self) -> bool:
        """Take one frame; False at the end."""
        async with asyncio.timeout(PATIENCE):
            try:
                first, size = await self.reader.readexactly(2)
                assert not size & 0x80, "a server masks nothing"
                if size == 126:
                    size = int.from_bytes(await self.reader.readexactly(2), "big")
                elif size == 127:
                    size = int.from_bytes(await self.reader.readexactly(8), "big")
                data = await self.reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                return False
        if first & 0x0F == CLOSE:
            self.code = int.from_bytes(data[:2], "big") if data else None
            return False
        assert first & 0x0F in {0, BINARY}, "binary frames alone [MQTT-6.0.0-1]"
        self.inner.feed_data(data)
        return True

    async def closed(self) -> None:
        """Make sure that the server closes."""
        while await self._one():
            pass
        self.writer.close()


async def _open(house: House, version: int) -> Web:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.web)
    web = Web(reader, writer, version)
    house.clients.append(web.client)
    return web


async def _upgraded(house: House, version: int) -> Web:
    web = await _open(house, version)
    assert await web.hand_shake(house.web) == 101
    return web


async def test_packets_travel_in_binary_frames_of_the_subprotocol_mqtt(house: House, version: int) -> None:
    web = await _upgraded(house, version)
    assert b"sec-websocket-protocol: mqtt\r\n" in web.head.lower()
    web.frame(Hello("a", version).encode())
    assert (await web.next()).kind == CONNACK
    web.frame(subscribe(1, ("t", 0), version=version))
    assert (await web.next()).kind == SUBACK
    sender = await house.connect("b", version)
    sender.publish("t", b"from TCP")
    assert (await web.next()).payload == b"from TCP"


async def test_a_text_frame_closes_the_connection(house: House, version: int) -> None:
    web = await _upgraded(house, version)
    web.frame(Hello("a", version).encode())
    assert (await web.next()).kind == CONNACK
    web.frame(PING, TEXT)
    await web.closed()
    assert web.code in {None, 1003, 1002, 1007}


async def test_frames_and_packets_are_not_aligned(house: House, version: int) -> None:
    web = await _upgraded(house, version)
    data = Hello("a", version).encode() + subscribe(1, ("t", 0), version=version)
    data += publish("t", b"x" * 500, version=version) + PING
    for start in range(0, len(data), 7):
        web.frame(data[start : start + 7])
    kinds = [(await web.next()).kind for _ in range(4)]
    assert kinds in ([CONNACK, SUBACK, PUBLISH, PINGRESP], [CONNACK, SUBACK, PINGRESP, PUBLISH])
    web.frame(PING + PING + PING)
    assert [(await web.next()).kind for _ in range(3)] == [PINGRESP] * 3
    web.frame(PING[:1], last=False)
    web.frame(PING[1:], 0)
    assert (await web.next()).kind == PINGRESP


@pytest.mark.parametrize("protocol", [None, "mqttv3.1", "chat"])
async def test_without_the_subprotocol_mqtt_nobody_is_upgraded(
    house: House, version: int, protocol: str | None
) -> None:
    web = await _open(house, version)
    status = await web.hand_shake(house.web, protocol=protocol)
    if status == 101:  # the text leaves it to the server how it refuses
        await web.closed()
    else:
        assert 400 <= status < 500
        web.writer.close()


async def test_mqtt_is_found_among_the_subprotocols(house: House, version: int) -> None:
    web = await _open(house, version)
    assert await web.hand_shake(house.web, protocol="chat, mqtt") == 101
    assert b"sec-websocket-protocol: mqtt\r\n" in web.head.lower()
    web.writer.close()
