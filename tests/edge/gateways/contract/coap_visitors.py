"""CoAP devices for the contract: over UDP, and over TCP."""

import asyncio
from typing import Self

from rimward.events.refusals import Words
from rimward.protocols.coap import ClientExchange, Message, Timing, dotted, request
from rimward.protocols.coap.codes import ABORT, ACK, CSM, POST, RST
from rimward.protocols.coap.messages import FrameDecoder, decode, frame

from .visitors import PATIENCE, Heard, Stream


class CoapUdp(asyncio.DatagramProtocol):
    """A device that sends confirmable requests."""

    gateway = "coap"
    replies = True

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport
        self.mid = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        address = ("127.0.0.1", self.port)
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.put_nowait(data)

    async def next(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.heard.get()

    async def tell(self, path: str, body: bytes) -> Heard:
        self.mid += 1
        message = request(POST, path, body, content_format=50 if body else None)
        exchange = ClientExchange(message, b"t%d" % self.mid, self.mid, Timing(), 0)
        while not exchange.done:
            for data in exchange.outgoing:
                self.transport.sendto(data)
            exchange.outgoing.clear()
            exchange.receive(await self.next(), 0)
        for data in exchange.outgoing:
            self.transport.sendto(data)
        assert exchange.response is not None, exchange.error
        return _heard(exchange.response)

    async def babble(self) -> str:
        self.transport.sendto(b"\x4f\x01\x12\x34")  # a token of fifteen bytes
        message = decode(await self.next())
        assert message is not None
        assert (message.code, message.mid) == (0, 0x1234)
        return {RST: "reset", ACK: "acknowledged"}[message.type]

    @staticmethod
    def code(words: Words) -> str:
        return words.coap


class CoapTcp(Stream):
    """A device on a connection."""

    gateway = "coap"
    replies = True

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.decoder = FrameDecoder(1 << 20)
        self.messages: list[Message] = []
        self.writer.write(frame(Message(CSM)))
        assert (await self.next()).code == CSM
        return self

    async def next(self) -> Message:
        while not self.messages:
            data = await self.read()
            assert data, "the node hung up"
            self.messages += self.decoder.feed(data)
        return self.messages.pop(0)

    async def tell(self, path: str, body: bytes) -> Heard:
        message = request(POST, path, body, content_format=50 if body else None)
        message.token = b"t"
        self.writer.write(frame(message))
        while (answer := await self.next()).token != b"t":
            assert answer.code >> 5 == 7, "a signal"
        return _heard(answer)

    async def babble(self) -> str:
        self.writer.write(b"\x0f\x01")  # a token of fifteen bytes
        message = await self.next()
        assert message.code == ABORT
        assert await self.read() == b"", "the connection goes on"
        return dotted(message.code)

    @staticmethod
    def code(words: Words) -> str:
        return words.coap


def _heard(message: Message) -> Heard:
    if message.code >= 0x80:
        return Heard(dotted(message.code), message.payload.decode())
    return Heard("ok", body=message.payload)
