"""MQTT packets of a server, read from bytes and held against the OASIS texts.

Lengths, flags, identifiers, reason codes and properties are each checked where they may stand. What a server
may not send raises `Nonconforming`.
"""

from dataclasses import dataclass, field

from .wire import (
    ALIAS_MAXIMUM,
    ASSIGNED_ID,
    AUTH,
    AUTH_DATA,
    AUTH_METHOD,
    BINARIES,
    BYTES,
    CONNACK,
    CONTENT_TYPE,
    CORRELATION,
    DISCONNECT,
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    MESSAGE_EXPIRY,
    PAYLOAD_FORMAT,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    REASON_STRING,
    RECEIVE_MAXIMUM,
    RESPONSE_INFORMATION,
    RESPONSE_TOPIC,
    RETAIN_AVAILABLE,
    SERVER_KEEP_ALIVE,
    SERVER_REFERENCE,
    SESSION_EXPIRY,
    SHARED,
    SHORTS,
    STRINGS,
    SUBACK,
    SUBSCRIPTION_ID,
    SUBSCRIPTION_IDS,
    TOPIC_ALIAS,
    UNSUBACK,
    USER,
    WILDCARDS,
    Property,
    Value,
)

# [5: table 2-4] what a server may send, by packet
SENT = {
    CONNACK: {
        SESSION_EXPIRY,
        ASSIGNED_ID,
        SERVER_KEEP_ALIVE,
        AUTH_METHOD,
        AUTH_DATA,
        RESPONSE_INFORMATION,
        SERVER_REFERENCE,
        REASON_STRING,
        RECEIVE_MAXIMUM,
        ALIAS_MAXIMUM,
        MAXIMUM_QOS,
        RETAIN_AVAILABLE,
        USER,
        MAXIMUM_PACKET_SIZE,
        WILDCARDS,
        SUBSCRIPTION_IDS,
        SHARED,
    },
    PUBLISH: {
        PAYLOAD_FORMAT,
        MESSAGE_EXPIRY,
        CONTENT_TYPE,
        RESPONSE_TOPIC,
        CORRELATION,
        SUBSCRIPTION_ID,
        TOPIC_ALIAS,
        USER,
    },
    PUBACK: {REASON_STRING, USER},
    PUBREC: {REASON_STRING, USER},
    PUBREL: {REASON_STRING, USER},
    PUBCOMP: {REASON_STRING, USER},
    SUBACK: {REASON_STRING, USER},
    UNSUBACK: {REASON_STRING, USER},
    DISCONNECT: {SERVER_REFERENCE, REASON_STRING, USER},  # no session expiry [MQTT-3.14.2-2]
    AUTH: {AUTH_METHOD, AUTH_DATA, REASON_STRING, USER},
}
# [5: table 2-6] the reason codes that each packet may carry from a server
_PUBLISHED = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
REASONS = {
    CONNACK: {0x00, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F, 0x90, 0x95, 0x97, 0x99} | set(range(0x80, 0x8B)) | {0x8C},
    PUBACK: _PUBLISHED,
    PUBREC: _PUBLISHED,
    PUBREL: {0x00, 0x92},
    PUBCOMP: {0x00, 0x92},
    SUBACK: {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    DISCONNECT: {0x00, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90} | set(range(0x93, 0xA3)),
    AUTH: {0x00, 0x18},
}


class Nonconforming(AssertionError):
    """A server has sent what the text does not allow."""


@dataclass
class Packet:
    """What a server has sent."""

    kind: int
    flags: int = 0
    packet_id: int = 0
    reason: int = 0
    reasons: tuple[int, ...] = ()
    session_present: bool = False
    topic: str = ""
    payload: bytes = b""
    size: int = 0  # bytes, header included
    properties: list[Property] = field(default_factory=list[Property])

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def retain(self) -> bool:
        return bool(self.flags & 1)

    @property
    def dup(self) -> bool:
        return bool(self.flags & 8)

    def all(self, key: int) -> list[Value]:
        return [value for name, value in self.properties if name == key]

    def get(self, key: int) -> Value | None:
        return next(iter(self.all(key)), None)


class Body:
    """Bytes to be read from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.pos = data, 0

    @property
    def left(self) -> int:
        return len(self.data) - self.pos

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise Nonconforming(f"{size} bytes wanted, {self.left} left in {self.data!r}")
        self.pos += size
        return self.data[self.pos - size : self.pos]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def identifier(self) -> int:
        value = self.number(2)
        if not value:
            raise Nonconforming("packet identifier 0 [MQTT-2.2.1-4]")
        return value

    def varint(self) -> int:
        value = 0
        for position in range(4):
            byte = self.number(1)
            value |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                if position and not byte:
                    raise Nonconforming("a variable byte integer longer than it needs [MQTT-1.5.5-1]")
                return value
        raise Nonconforming("a variable byte integer of five bytes")

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def string(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError as error:
            raise Nonconforming("a string that is not UTF-8 [MQTT-1.5.4-1]") from error
        if "\0" in text:
            raise Nonconforming("a string with U+0000 [MQTT-1.5.4-2]")
        return text

    def value(self, key: int) -> Value:
        if key in STRINGS:
            return self.string()
        if key in BINARIES:
            return self.binary()
        if key == USER:
            return (self.string(), self.string())
        if key == SUBSCRIPTION_ID:
            return self.varint()
        return self.number(1 if key in BYTES else 2 if key in SHORTS else 4)

    def properties(self, kind: int) -> list[Property]:
        inner = Body(self.take(self.varint()))
        found: list[Property] = []
        while inner.left:
            key = inner.varint()
            if key not in SENT[kind]:
                raise Nonconforming(f"property {key:#x} in a packet of type {kind}")
            if key not in {USER, SUBSCRIPTION_ID} and any(name == key for name, _ in found):
                raise Nonconforming(f"property {key:#x} twice in a packet of type {kind}")
            found.append((key, inner.value(key)))
        return found


def read(first: int, data: bytes, version: int) -> Packet:
    """Read a packet of a server, with every check that the text has for it."""
    kind, flags = first >> 4, first & 0x0F
    body = Body(data)
    if kind not in _READERS or (version != 5 and kind in {DISCONNECT, AUTH}):
        raise Nonconforming(f"a server of version {version} sends a packet of type {kind}")
    if kind != PUBLISH and flags != (2 if kind == PUBREL else 0):
        raise Nonconforming(f"flags {flags:#x} in a packet of type {kind} [MQTT-2.1.3-1]")
    found = Packet(kind, flags)
    _READERS[kind](found, body, version)
    if body.left:
        raise Nonconforming(f"{body.left} bytes behind a packet of type {kind}")
    return found


def _reason(found: Packet, body: Body) -> int:
    reason = body.number(1)
    if reason not in REASONS[found.kind]:
        raise Nonconforming(f"reason code {reason:#x} in a packet of type {found.kind}")
    return reason


def _connack(found: Packet, body: Body, version: int) -> None:
    acknowledged = body.number(1)
    if acknowledged > 1:
        raise Nonconforming(f"acknowledge flags {acknowledged:#x} [MQTT-3.2.2-1]")
    found.session_present = acknowledged == 1
    if version == 5:
        found.reason = _reason(found, body)
        found.properties = body.properties(CONNACK)
    else:
        found.reason = body.number(1)
        if found.reason > 5:
            raise Nonconforming(f"return code {found.reason} [3.1.1: table 3.1]")
    if found.session_present and found.reason:
        raise Nonconforming("session present in a refusal [MQTT-3.2.2-6]")


def _publish(found: Packet, body: Body, version: int) -> None:
    if found.qos == 3:
        raise Nonconforming("QoS 3 [MQTT-3.3.1-4]")
    if found.dup and not found.qos:
        raise Nonconforming("DUP at QoS 0 [MQTT-3.3.1-2]")
    found.topic = body.string()
    if "+" in found.topic or "#" in found.topic:
        raise Nonconforming(f"a wildcard in topic {found.topic!r} [MQTT-3.3.2-2]")
    if found.qos:
        found.packet_id = body.identifier()
    if version == 5:
        found.properties = body.properties(PUBLISH)
    if not found.topic and not found.get(TOPIC_ALIAS):
        raise Nonconforming("neither a topic nor an alias [MQTT-4.7.3-1]")
    found.payload = body.take(body.left)


def _acknowledgement(found: Packet, body: Body, version: int) -> None:
    found.packet_id = body.identifier()
    if version == 5 and body.left:
        found.reason = _reason(found, body)
        if body.left:
            found.properties = body.properties(found.kind)


def _list(found: Packet, body: Body, version: int) -> None:
    found.packet_id = body.identifier()
    if version == 5:
        found.properties = body.properties(found.kind)
        reasons: list[int] = []
        while body.left:
            reasons.append(_reason(found, body))
        found.reasons = tuple(reasons)
    elif found.kind == SUBACK:
        found.reasons = tuple(body.take(body.left))
        if not set(found.reasons) <= {0, 1, 2, 0x80}:
            raise Nonconforming(f"return codes {found.reasons} [3.1.1: MQTT-3.9.3-2]")


def _goodbye(found: Packet, body: Body, _: int) -> None:
    if body.left:
        found.reason = _reason(found, body)
    if body.left:
        found.properties = body.properties(found.kind)


def _nothing(found: Packet, body: Body, _: int) -> None:
    if body.left:
        raise Nonconforming(f"a body in a packet of type {found.kind}")


_READERS = {
    CONNACK: _connack,
    PUBLISH: _publish,
    PUBACK: _acknowledgement,
    PUBREC: _acknowledgement,
    PUBREL: _acknowledgement,
    PUBCOMP: _acknowledgement,
    SUBACK: _list,
    UNSUBACK: _list,
    PINGRESP: _nothing,
    DISCONNECT: _goodbye,
    AUTH: _goodbye,
}
