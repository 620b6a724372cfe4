"""What a server may answer to anything at all, told by readers that share nothing with its own code."""

import re

from tests.conformance.reading import Body, Nonconforming, Packet, read
from tests.conformance.wire import CONNACK, DISCONNECT

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)[ \r]")
_NO_BODY = {204, 304}


def check_mqtt(answer: bytes) -> None:
    """Make sure that an answer is whole packets that a server of one version may send, in an order it may.

    Raises:
        Nonconforming: it is not.
    """
    try:
        _check_packets(_packets(answer, 5))
    except Nonconforming:
        _check_packets(_packets(answer, 4))


def _packets(answer: bytes, version: int) -> list[Packet]:
    body, packets = Body(answer), list[Packet]()
    while body.left:
        first = body.number(1)
        packets.append(read(first, body.take(body.varint()), version))
    return packets


def _check_packets(packets: list[Packet]) -> None:
    kinds = [packet.kind for packet in packets]
    if CONNACK in kinds[1:]:
        raise Nonconforming("a CONNACK that is not the first packet [MQTT-3.2.0-2]")
    if DISCONNECT in kinds[:-1]:
        raise Nonconforming("a packet behind DISCONNECT [MQTT-3.14.4-1]")
    if packets and packets[0].kind == CONNACK and packets[0].reason >= 0x80 and len(packets) > 1:
        raise Nonconforming("a packet behind a refusal [MQTT-3.2.2-7]")


def check_http(answer: bytes, *, head: bool = False) -> bytes:
    """Make sure that an answer is whole HTTP/1.1 responses; return what follows an upgrade.

    `head` says that a response may have no body though it names a length [RFC 9110 §9.3.2].
    """
    while answer:
        top, found, rest = answer.partition(b"\r\n\r\n")
        status = _STATUS.match(top)
        if status is None or not found:
            raise Nonconforming(f"no response: {answer[:200]!r}")
        code, headers = int(status[1]), _headers(top)
        if code == 101:
            return rest
        if head:
            return b""
        answer = rest if code < 200 or code in _NO_BODY else _behind_body(rest, headers)
    return b""


def _headers(top: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in top.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise Nonconforming(f"a header line: {line!r}")
        headers[name.lower()] = value.strip()
    return headers


def _behind_body(rest: bytes, headers: dict[bytes, bytes]) -> bytes:
    if headers.get(b"transfer-encoding") == b"chunked":
        while True:
            size, found, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            if not found or rest[length : length + 2] != b"\r\n":
                raise Nonconforming(f"a chunk: {size!r}")
            rest = rest[length + 2 :]
            if not length:
                return rest
    length = int(headers.get(b"content-length", b"-1"))
    if length < 0:
        return b""  # to the end of the connection
    if len(rest) < length:
        raise Nonconforming(f"{length} bytes are announced, {len(rest)} came")
    return rest[length:]


def check_websocket(answer: bytes) -> None:
    """Make sure that an answer is HTTP, and whole frames behind an upgrade [RFC 6455 §5.2]."""
    body, over = Body(check_http(answer)), False
    while body.left:
        first, size = body.number(1), body.number(1)
        opcode = first & 0x0F
        if opcode not in {0, 1, 2, 8, 9, 10} or first & 0x70 or size & 0x80:
            raise Nonconforming(f"a frame's head: {first:#x} {size:#x}")
        if over and opcode not in {9, 10}:  # a ping that comes before the peer's own close is answered
            raise Nonconforming("a frame behind a close frame [RFC 6455 §5.5.1]")
        if opcode >= 8 and (size > 125 or not first & 0x80):
            raise Nonconforming("a control frame that is long or in parts [RFC 6455 §5.5]")
        data = body.take(body.number(2) if size == 126 else body.number(8) if size == 127 else size)
        if opcode == 1 and first & 0x80:
            data.decode()
        over = over or opcode == 8
        if opcode == 8 and len(data) == 1:
            raise Nonconforming("a close frame with half a code [RFC 6455 §5.5.1]")


def check_coap(datagram: bytes) -> None:
    """Make sure that a datagram is one CoAP message [RFC 7252 §3]."""
    body = Body(datagram)
    first, code = body.number(1), body.number(1)
    body.take(2)
    if first >> 6 != 1 or (first & 0x0F) > 8:
        raise Nonconforming(f"a first byte: {first:#x}")
    token = body.take(first & 0x0F)
    if not code and (token or body.left):
        raise Nonconforming("an empty message that is not empty [RFC 7252 §4.1]")
    while body.left:
        head = body.number(1)
        if head == 0xFF:
            if not body.left:
                raise Nonconforming("a payload marker without a payload [RFC 7252 §3]")
            return
        delta, length = _extended(body, head >> 4), _extended(body, head & 0x0F)
        if delta + length > 0xFFFF + 270:
            raise Nonconforming("an option beyond all numbers")
        body.take(length)


def _extended(body: Body, nibble: int) -> int:
    if nibble == 15:
        raise Nonconforming("a reserved option length or delta [RFC 7252 §3.1]")
    return 13 + body.number(1) if nibble == 13 else 269 + body.number(2) if nibble == 14 else nibble
