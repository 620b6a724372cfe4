"""MQTT packets of a client as bytes, made by hand from the OASIS texts, also wrong ones.

Nothing of `rimward.protocols` is in here or in `reading`, so that a mistake of its codec can't hide in tests.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15

PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION = 0x01, 0x02, 0x03, 0x08, 0x09
SUBSCRIPTION_ID, SESSION_EXPIRY, ASSIGNED_ID, SERVER_KEEP_ALIVE = 0x0B, 0x11, 0x12, 0x13
AUTH_METHOD, AUTH_DATA, PROBLEM_INFORMATION, WILL_DELAY, RESPONSE_WANTED = 0x15, 0x16, 0x17, 0x18, 0x19
RESPONSE_INFORMATION, SERVER_REFERENCE, REASON_STRING, RECEIVE_MAXIMUM = 0x1A, 0x1C, 0x1F, 0x21
ALIAS_MAXIMUM, TOPIC_ALIAS, MAXIMUM_QOS, RETAIN_AVAILABLE, USER = 0x22, 0x23, 0x24, 0x25, 0x26
MAXIMUM_PACKET_SIZE, WILDCARDS, SUBSCRIPTION_IDS, SHARED = 0x27, 0x28, 0x29, 0x2A

# [5: table 2-4] what each property is made of
BYTES = {
    PAYLOAD_FORMAT,
    PROBLEM_INFORMATION,
    RESPONSE_WANTED,
    MAXIMUM_QOS,
    RETAIN_AVAILABLE,
    WILDCARDS,
    SUBSCRIPTION_IDS,
    SHARED,
}
SHORTS = {SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, ALIAS_MAXIMUM, TOPIC_ALIAS}
LONGS = {MESSAGE_EXPIRY, SESSION_EXPIRY, WILL_DELAY, MAXIMUM_PACKET_SIZE}
STRINGS = {
    CONTENT_TYPE,
    RESPONSE_TOPIC,
    ASSIGNED_ID,
    AUTH_METHOD,
    RESPONSE_INFORMATION,
    SERVER_REFERENCE,
    REASON_STRING,
}
BINARIES = {CORRELATION, AUTH_DATA}
Value = int | str | bytes | tuple[str, str]
Property = tuple[int, Value]


def varint(value: int) -> bytes:
    """[5: 1.5.5]."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def string(text: str | bytes) -> bytes:
    """[5: 1.5.4], or binary data [5: 1.5.6]."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(data)) + data


def packet(first: int, body: bytes = b"") -> bytes:
    """A fixed header and what follows it."""
    return bytes([first]) + varint(len(body)) + body


def one(key: int, value: Value) -> bytes:
    """One property [5: 2.2.2.2]."""
    if isinstance(value, tuple):
        return bytes([key]) + string(value[0]) + string(value[1])
    if not isinstance(value, int):
        return bytes([key]) + string(value)
    if key == SUBSCRIPTION_ID:
        return bytes([key]) + varint(value)
    size = 1 if key in BYTES else 2 if key in SHORTS else 4
    return bytes([key]) + value.to_bytes(size, "big")


def properties(*some: Property) -> bytes:
    """Properties behind their length."""
    body = b"".join(one(key, value) for key, value in some)
    return varint(len(body)) + body


@dataclass
class Will:
    topic: str | bytes
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: tuple[Property, ...] = ()


@dataclass
class Hello:
    """A CONNECT; each field may be made wrong by `flags`, `level` and `name`."""

    client_id: str | bytes = ""
    version: int = 5
    clean: bool = True
    keep_alive: int = 0
    will: Will | None = None
    username: str | bytes | None = None
    password: str | bytes | None = None
    properties: tuple[Property, ...] = ()
    flags: int | None = None
    level: int | None = None
    name: str | bytes = "MQTT"

    def encode(self) -> bytes:
        v5, will = self.version == 5, self.will
        flags = 0x02 if self.clean else 0
        body = string(self.client_id)
        if will is not None:
            flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
            body += (properties(*will.properties) if v5 else b"") + string(will.topic) + string(will.payload)
        if self.username is not None:
            flags |= 0x80
            body += string(self.username)
        if self.password is not None:
            flags |= 0x40
            body += string(self.password)
        flags = flags if self.flags is None else self.flags
        level = self.version if self.level is None else self.level
        head = string(self.name) + bytes([level, flags]) + struct.pack(">H", self.keep_alive)
        return packet(0x10, head + (properties(*self.properties) if v5 else b"") + body)


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    qos: int = 0,
    packet_id: int = 1,
    *,
    version: int = 5,
    retain: bool = False,
    dup: bool = False,
    some: Iterable[Property] = (),
) -> bytes:
    first = 0x30 | qos << 1 | retain | (0x08 if dup else 0)
    head = string(topic) + (struct.pack(">H", packet_id) if qos else b"")
    return packet(first, head + (properties(*some) if version == 5 else b"") + payload)


def acknowledge(kind: int, packet_id: int, reason: int | None = None, *some: Property) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP; without a reason in the short form."""
    body = struct.pack(">H", packet_id)
    if reason is not None:
        body += bytes([reason]) + (properties(*some) if some else b"")
    return packet(kind << 4 | (2 if kind == PUBREL else 0), body)


def subscribe(
    packet_id: int, *wishes: tuple[str | bytes, int], version: int = 5, some: Iterable[Property] = ()
) -> bytes:
    """Filters with their options byte."""
    body = struct.pack(">H", packet_id) + (properties(*some) if version == 5 else b"")
    return packet(0x82, body + b"".join(string(name) + bytes([options]) for name, options in wishes))


def unsubscribe(packet_id: int, *filters: str | bytes, version: int = 5) -> bytes:
    body = struct.pack(">H", packet_id) + (properties() if version == 5 else b"")
    return packet(0xA2, body + b"".join(string(name) for name in filters))


def disconnect(reason: int | None = None, *some: Property) -> bytes:
    if reason is None:
        return packet(0xE0)
    return packet(0xE0, bytes([reason]) + (properties(*some) if some else b""))


def auth(reason: int, *some: Property) -> bytes:
    return packet(0xF0, bytes([reason]) + properties(*some))


PING = packet(0xC0)
