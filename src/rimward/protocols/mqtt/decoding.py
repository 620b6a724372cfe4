"""One packet's body, decoded with every check of MQTT 3.1.1 and 5, sections 2 and 3."""

import struct
from collections.abc import Callable

from rimward.protocols.mqtt import properties as props
from rimward.protocols.mqtt.fields import Reader, malformed
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
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from rimward.protocols.mqtt.reasons import (
    AUTH_REASONS,
    CONNACK_REASONS,
    DISCONNECT_REASONS,
    PUBACK_REASONS,
    PUBREL_REASONS,
    SUBACK_REASONS,
    UNSUBACK_REASONS,
    MqttError,
    Reason,
)
from rimward.protocols.mqtt.topics import SHARED, check_filter, check_name, split_shared

_NAME = b"\0\4MQTT"
_FIXED = 10  # bytes of a CONNECT that every client sends in the same form
_HEAD = struct.Struct(">BBH").unpack_from  # what follows the name: level, flags, keep-alive


def decode_body(first: int, reader: Reader, version: int) -> Packet:
    """Decode one packet from its first byte and its body.

    Raises:
        MqttError: the packet breaks a rule.
    """
    kind = first >> 4
    flags = first & 0x0F
    if kind == props.PUBLISH:
        packet: Packet = _publish(flags, reader, version)
    elif kind == 0 or (kind == props.AUTH and version != 5):
        raise malformed(f"packet type {kind} does not exist in this version")
    elif flags != (2 if kind in {props.PUBREL, props.SUBSCRIBE, props.UNSUBSCRIBE} else 0):
        raise malformed(f"packet type {kind} has flags {flags:#x}")
    elif kind in _ACKNOWLEDGEMENTS:
        packet = _acknowledgement(kind, reader, version)
    elif kind == props.PINGREQ:
        packet = Pingreq()
    elif kind == props.PINGRESP:
        packet = Pingresp()
    else:
        packet = _RARE[kind](reader, version)
    reader.finish()
    return packet


_Acknowledgement = type[Puback] | type[Pubrec] | type[Pubrel] | type[Pubcomp]
_ACKNOWLEDGEMENTS: dict[int, tuple[_Acknowledgement, frozenset[int]]] = {
    props.PUBACK: (Puback, PUBACK_REASONS),
    props.PUBREC: (Pubrec, PUBACK_REASONS),
    props.PUBREL: (Pubrel, PUBREL_REASONS),
    props.PUBCOMP: (Pubcomp, PUBREL_REASONS),
}


def _properties(reader: Reader, where: int, version: int) -> props.Properties | None:
    return props.decode(reader, where) if version == 5 else None


def _reason(reader: Reader, allowed: frozenset[int]) -> int:
    reason = reader.byte()
    if reason not in allowed:
        raise malformed(f"reason code {reason:#04x} can't stand in this packet")
    return reason


def _publish(flags: int, reader: Reader, version: int) -> Publish:
    qos = flags >> 1 & 3
    dup = flags > 7
    if qos == 3:
        raise malformed("a PUBLISH has QoS 3")
    if dup and not qos:
        raise malformed("a PUBLISH at QoS 0 is marked as a duplicate")
    topic = reader.string()
    packet_id = reader.packet_id() if qos else 0
    properties = _properties(reader, props.PUBLISH, version)
    if topic:
        check_name(topic)
    elif properties is None or properties.topic_alias is None:
        raise MqttError(Reason.PROTOCOL_ERROR, "a PUBLISH has neither a topic nor an alias")
    _check_response_topic(properties)
    return Publish(topic, reader.rest(), qos, flags & 1 == 1, packet_id, dup, properties)


def _check_response_topic(properties: props.Properties | None) -> None:
    if properties is not None and properties.response_topic is not None:
        if not properties.response_topic:
            raise MqttError(Reason.PROTOCOL_ERROR, "a response topic is empty")
        check_name(properties.response_topic, Reason.PROTOCOL_ERROR)


def _acknowledgement(kind: int, reader: Reader, version: int) -> Packet:
    packet, allowed = _ACKNOWLEDGEMENTS[kind]
    packet_id = reader.packet_id()
    return packet(packet_id, *_reason_and_properties(kind, reader, version, allowed))


def _reason_and_properties(
    kind: int, reader: Reader, version: int, allowed: frozenset[int]
) -> tuple[int, props.Properties | None]:
    """Read what MQTT 5 leaves out where it is 0 and empty [5: 3.4.2.1]."""
    if version != 5 or reader.pos == reader.end:
        return 0, None
    reason = _reason(reader, allowed)
    if reader.pos == reader.end:
        return reason, None
    return reason, props.decode(reader, kind)


def _connect(reader: Reader, _: int) -> Connect:
    version: int
    flags: int
    keep_alive: int
    data, start = reader.data, reader.pos
    if start + _FIXED <= reader.end and data[start : start + 6] == _NAME:
        version, flags, keep_alive = _HEAD(data, start + 6)
        reader.pos = start + _FIXED
    else:
        reader.binary()
        version, flags, keep_alive = reader.byte(), reader.byte(), reader.short()
    if flags & 1:
        raise malformed("a CONNECT's reserved flag is set")
    will_qos = flags >> 3 & 3
    if will_qos == 3 or (not flags & 0x04 and flags & 0x38):
        raise malformed("a CONNECT's will flags contradict each other")
    if version == 4 and flags & 0xC0 == 0x40:
        raise malformed("a CONNECT has a password and no user name")
    properties = _properties(reader, props.CONNECT, version)
    if properties is not None and properties.authentication_data is not None:
        _need_method(properties)
    client_id = reader.string()
    will = _will(flags, reader, version) if flags & 0x04 else None
    username = reader.string() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    clean = flags & 0x02 == 0x02
    return Connect(client_id, version, clean, keep_alive, username, password, will, properties)


def _need_method(properties: props.Properties) -> None:
    if properties.authentication_method is None:
        raise MqttError(Reason.PROTOCOL_ERROR, "authentication data without an authentication method")


def _will(flags: int, reader: Reader, version: int) -> Will:
    properties = _properties(reader, props.WILL, version)
    topic = reader.string()
    check_name(topic)
    _check_response_topic(properties)
    return Will(topic, reader.binary(), flags >> 3 & 3, flags & 0x20 == 0x20, properties)


def _connack(reader: Reader, version: int) -> Connack:
    flags = reader.byte()
    if flags > 1:
        raise malformed(f"a CONNACK has flags {flags:#x}")
    if version == 5:
        return Connack(flags == 1, _reason(reader, CONNACK_REASONS), props.decode(reader, props.CONNACK))
    return Connack(flags == 1, reader.byte())


def _subscribe(reader: Reader, version: int) -> Subscribe:
    packet_id = reader.packet_id()
    properties = _properties(reader, props.SUBSCRIBE, version)
    subscriptions: list[Subscription] = []
    while reader.pos < reader.end:
        topic_filter = check_filter(reader.string())
        subscriptions.append(_subscription(topic_filter, reader.byte(), version))
    if not subscriptions:
        raise MqttError(Reason.PROTOCOL_ERROR, "a SUBSCRIBE has no topic filter")
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _subscription(topic_filter: str, options: int, version: int) -> Subscription:
    if options > (0x2F if version == 5 else 2) or options & 3 == 3:
        raise malformed(f"subscription options are {options:#04x}")
    no_local = options & 4 == 4
    if version == 5:
        split_shared(topic_filter)
    if no_local and topic_filter.startswith(SHARED):
        raise MqttError(Reason.PROTOCOL_ERROR, "a shared subscription has No Local set")
    return Subscription(topic_filter, options & 3, no_local, options & 8 == 8, options >> 4)


def _suback(reader: Reader, version: int) -> Suback:
    packet_id = reader.packet_id()
    properties = _properties(reader, props.SUBACK, version)
    allowed = SUBACK_REASONS if version == 5 else frozenset({0, 1, 2, 0x80})
    reasons: list[int] = []
    while reader.pos < reader.end:
        reasons.append(_reason(reader, allowed))
    return Suback(packet_id, tuple(reasons), properties)


def _unsubscribe(reader: Reader, version: int) -> Unsubscribe:
    packet_id = reader.packet_id()
    properties = _properties(reader, props.UNSUBSCRIBE, version)
    filters: list[str] = []
    while reader.pos < reader.end:
        filters.append(check_filter(reader.string()))
    if not filters:
        raise MqttError(Reason.PROTOCOL_ERROR, "an UNSUBSCRIBE has no topic filter")
    return Unsubscribe(packet_id, tuple(filters), properties)


def _unsuback(reader: Reader, version: int) -> Unsuback:
    packet_id = reader.packet_id()
    if version != 5:
        return Unsuback(packet_id)
    properties = props.decode(reader, props.UNSUBACK)
    reasons: list[int] = []
    while reader.pos < reader.end:
        reasons.append(_reason(reader, UNSUBACK_REASONS))
    return Unsuback(packet_id, tuple(reasons), properties)


def _disconnect(reader: Reader, version: int) -> Disconnect:
    return Disconnect(*_reason_and_properties(props.DISCONNECT, reader, version, DISCONNECT_REASONS))


def _auth(reader: Reader, version: int) -> Auth:
    return Auth(*_reason_and_properties(props.AUTH, reader, version, AUTH_REASONS))


_RARE: dict[int, Callable[[Reader, int], Packet]] = {
    props.CONNECT: _connect,
    props.CONNACK: _connack,
    props.SUBSCRIBE: _subscribe,
    props.SUBACK: _suback,
    props.UNSUBSCRIBE: _unsubscribe,
    props.UNSUBACK: _unsuback,
    props.DISCONNECT: _disconnect,
    props.AUTH: _auth,
}


def protocol_version(data: bytes, start: int, stop: int) -> int:
    """Return a CONNECT's protocol level [3.1.2.1, 3.1.2.2]; 4 is MQTT 3.1.1, 5 is MQTT 5."""
    if data[start : start + 6] == _NAME and start + 6 < stop:
        return data[start + 6]
    reader = Reader(data, start, stop)
    name = reader.binary()
    level = reader.byte()
    if name == b"MQIsdp":
        return 3
    if name != b"MQTT":
        raise MqttError(Reason.PROTOCOL_ERROR, "a CONNECT's protocol name is not MQTT")
    return level
