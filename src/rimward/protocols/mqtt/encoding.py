"""Packets to bytes [3.1.1: 2, 3; 5: 2, 3]. A PUBLISH to many is put together from parts that they share."""

import struct

from rimward.protocols.mqtt import properties as props
from rimward.protocols.mqtt.fields import binary, short, string, varint
from rimward.protocols.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
)

PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"
CONNACK = b"\x20\x02\x00\x00"  # of MQTT 3.1.1, with success
CONNACK_PRESENT = b"\x20\x02\x01\x00"  # the same, and the session was kept
_HEADER = struct.Struct(">HH")
# Fixed headers of short PUBLISH packets at QoS 0, by remaining length: most packets need no arithmetic.
_SHORT = tuple(bytes((0x30, length)) for length in range(128))
_SHORT_1 = tuple(bytes((0x32, length)) for length in range(128))  # the same at QoS 1


def encode(packet: Packet, version: int) -> bytes:
    """Return a packet's bytes in a version of the protocol, 4 or 5.

    Raises:
        MqttError: a string, a value or the whole is larger than the protocol can say.
    """
    first, body = _parts(packet, version)
    return bytes((first,)) + varint(len(body)) + body


def puback(packet_id: int) -> bytes:
    """Return the PUBACK that says success; it is the same in both versions."""
    return _HEADER.pack(0x4002, packet_id)


def plain_publish(head: bytes, payload: bytes) -> bytes:
    """Return a PUBLISH at QoS 0. `head` is the topic as `string` gives it, for MQTT 5 with its properties."""
    length = len(head) + len(payload)
    if length < 128:
        return _SHORT[length] + head + payload
    return b"".join((b"\x30", varint(length), head, payload))


def plain_publish_1(head: bytes, identity: bytes, payload: bytes) -> bytes:
    """Return a PUBLISH at QoS 1. `head` is the topic as `string` gives it.

    `identity` is the packet id, and for MQTT 5 the properties.
    """
    length = len(head) + len(identity) + len(payload)
    if length < 128:
        return _SHORT_1[length] + head + identity + payload
    return b"".join((b"\x32", varint(length), head, identity, payload))


def publish(first: int, topic: bytes, packet_id: int, properties: bytes, payload: bytes) -> bytes:
    """Return a PUBLISH from its parts: `topic` as `string` gives it, properties as their `encode` does."""
    identity = packet_id.to_bytes(2, "big") if packet_id else b""
    length = len(topic) + len(identity) + len(properties) + len(payload)
    return b"".join((bytes((first,)), varint(length), topic, identity, properties, payload))


def publish_flags(qos: int, *, retain: bool, dup: bool = False) -> int:
    """Return a PUBLISH's first byte."""
    return 0x30 | dup << 3 | qos << 1 | retain


def _parts(packet: Packet, version: int) -> tuple[int, bytes]:
    if isinstance(packet, Publish):
        flags = publish_flags(packet.qos, retain=packet.retain, dup=packet.dup)
        return flags, _publish(packet, version)
    return _FIRST[type(packet)], _control(packet, version)


def _control(packet: Packet, version: int) -> bytes:  # noqa: PLR0911 (one line a packet type)
    match packet:
        case Puback() | Pubrec() | Pubrel() | Pubcomp():
            return short(packet.packet_id) + _reason(packet, version)
        case Connect():
            return _connect(packet)
        case Connack():
            flags = bytes((packet.session_present, packet.reason))
            return flags + _properties(packet.properties, version)
        case Subscribe() | Unsubscribe():
            return _head(packet, version) + _filters(packet, version)
        case Suback() | Unsuback():
            reasons = b"" if version != 5 and isinstance(packet, Unsuback) else bytes(packet.reasons)
            return _head(packet, version) + reasons
        case Disconnect() | Auth():
            return _reason(packet, version)
        case _:
            return b""


_FIRST: dict[type[Packet], int] = {
    Connect: 0x10,
    Connack: 0x20,
    Puback: 0x40,
    Pubrec: 0x50,
    Pubrel: 0x62,
    Pubcomp: 0x70,
    Subscribe: 0x82,
    Suback: 0x90,
    Unsubscribe: 0xA2,
    Unsuback: 0xB0,
    Pingreq: 0xC0,
    Pingresp: 0xD0,
    Disconnect: 0xE0,
    Auth: 0xF0,
}


def _properties(properties: props.Properties | None, version: int) -> bytes:
    return props.encode(properties) if version == 5 else b""


def _head(packet: Subscribe | Suback | Unsubscribe | Unsuback, version: int) -> bytes:
    return short(packet.packet_id) + _properties(packet.properties, version)


def _reason(packet: Puback | Pubrec | Pubrel | Pubcomp | Disconnect | Auth, version: int) -> bytes:
    """Return reason and properties, as short as they may be [5: 3.4.2.1]."""
    if version != 5 or (not packet.reason and packet.properties is None):
        return b""
    if packet.properties is None:
        return bytes((packet.reason,))
    return bytes((packet.reason,)) + props.encode(packet.properties)


def _publish(packet: Publish, version: int) -> bytes:
    identity = short(packet.packet_id) if packet.qos else b""
    return string(packet.topic) + identity + _properties(packet.properties, version) + packet.payload


def _connect(packet: Connect) -> bytes:
    flags = packet.clean_start << 1
    parts = [string(packet.client_id)]
    if (will := packet.will) is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        parts.append(_will(will, packet.version))
    if packet.username is not None:
        flags |= 0x80
        parts.append(string(packet.username))
    if packet.password is not None:
        flags |= 0x40
        parts.append(binary(packet.password))
    head = b"\x00\x04MQTT" + bytes((packet.version, flags)) + short(packet.keep_alive)
    return head + _properties(packet.properties, packet.version) + b"".join(parts)


def _will(will: Will, version: int) -> bytes:
    return _properties(will.properties, version) + string(will.topic) + binary(will.payload)


def _filters(packet: Subscribe | Unsubscribe, version: int) -> bytes:
    if isinstance(packet, Unsubscribe):
        return b"".join([string(topic_filter) for topic_filter in packet.filters])
    parts: list[bytes] = []
    for wish in packet.subscriptions:
        options = wish.qos | wish.no_local << 2 | wish.retain_as_published << 3 | wish.retain_handling << 4
        parts.append(string(wish.filter) + bytes((options if version == 5 else wish.qos,)))
    return b"".join(parts)
