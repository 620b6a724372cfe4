"""One request of CoAP over a real UDP socket, protected where there are keys, and its response."""

import asyncio
from collections.abc import Iterator
from operator import itemgetter

from rimward.protocols.coap import Message, decode, encode
from rimward.protocols.coap.codes import CON, UNAUTHORIZED
from rimward.protocols.coap.options import ECHO
from rimward.protocols.coap.oscore import Context, Keys, open_response, protect_request


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.got.put_nowait(data)


async def asked(
    message: Message, keys: Keys | None, here: tuple[str, int], port: int, numbers: Iterator[int]
) -> Message:
    """Send a request from an address and return the response; `numbers` are never used again."""
    loop = asyncio.get_running_loop()
    where = ("127.0.0.1", port)
    transport, protocol = await loop.create_datagram_endpoint(_Answers, local_addr=here, remote_addr=where)
    try:
        answer = await _once(message, keys, transport, protocol, next(numbers))
        echo = answer.get(ECHO)
        if keys is not None and answer.code == UNAUTHORIZED and echo is not None:
            message.options = sorted([*message.options, (ECHO, echo)], key=itemgetter(0))
            answer = await _once(message, keys, transport, protocol, next(numbers))
    finally:
        transport.close()
    return answer


async def _once(
    message: Message,
    keys: Keys | None,
    transport: asyncio.DatagramTransport,
    protocol: _Answers,
    number: int,
) -> Message:
    message.token, message.type, message.mid = number.to_bytes(2, "big"), CON, number
    if keys is None:
        transport.sendto(encode(message))
        answer = decode(await protocol.got.get())
        assert answer is not None
        return answer
    context = Context(keys)
    sealed, asking = protect_request(context, message, number)
    transport.sendto(encode(sealed))
    answer = decode(await protocol.got.get())
    assert answer is not None
    return open_response(context, answer, asking)
