"""The properties of MQTT 5 [5: 2.2.2]: their table, decoded and encoded by it.

A property in the wrong packet or of the wrong type is a malformed packet (0x81); one that stands twice, or
has a value out of its range, is a protocol error (0x82).
"""

from typing import Any

from msgspec import Struct

from rimward.protocols.mqtt.fields import Reader, binary, malformed, string, varint
from rimward.protocols.mqtt.packets import Properties
from rimward.protocols.mqtt.reasons import MqttError, Reason

# Where properties stand: packet types, and 0 for a CONNECT's will.
WILL = 0
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE = range(1, 9)
SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(9, 16)

MAX_PROPERTIES = 64  # in one packet; user properties have no bound of their own

BYTE, SHORT, LONG, VARINT, STRING, BINARY, PAIR = range(7)
_MESSAGE = frozenset({PUBLISH, WILL})
_ANSWERS = frozenset({PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK})
_LOGIN = frozenset({CONNECT, CONNACK})
_LOGINS = frozenset({CONNECT, CONNACK, AUTH})
_ANYWHERE = _MESSAGE | _ANSWERS | _LOGINS | {SUBSCRIBE, UNSUBSCRIBE, DISCONNECT}


class Property(Struct, frozen=True):
    """One line of the standard's table."""

    id: int
    name: str  # its field in `Properties`
    kind: int
    where: frozenset[int]
    least: int = 0
    most: int = 0xFFFFFFFF
    repeats: bool = False


TABLE = (
    Property(0x01, "payload_format", BYTE, _MESSAGE, most=1),
    Property(0x02, "message_expiry", LONG, _MESSAGE),
    Property(0x03, "content_type", STRING, _MESSAGE),
    Property(0x08, "response_topic", STRING, _MESSAGE),
    Property(0x09, "correlation_data", BINARY, _MESSAGE),
    Property(0x0B, "subscription_ids", VARINT, frozenset({PUBLISH, SUBSCRIBE}), least=1, repeats=True),
    Property(0x11, "session_expiry", LONG, _LOGIN | {DISCONNECT}),
    Property(0x12, "assigned_client_id", STRING, frozenset({CONNACK})),
    Property(0x13, "server_keep_alive", SHORT, frozenset({CONNACK})),
    Property(0x15, "authentication_method", STRING, _LOGINS),
    Property(0x16, "authentication_data", BINARY, _LOGINS),
    Property(0x17, "request_problem_information", BYTE, frozenset({CONNECT}), most=1),
    Property(0x18, "will_delay", LONG, frozenset({WILL})),
    Property(0x19, "request_response_information", BYTE, frozenset({CONNECT}), most=1),
    Property(0x1A, "response_information", STRING, frozenset({CONNACK})),
    Property(0x1C, "server_reference", STRING, frozenset({CONNACK, DISCONNECT})),
    Property(0x1F, "reason_string", STRING, _ANSWERS | {CONNACK, DISCONNECT, AUTH}),
    Property(0x21, "receive_maximum", SHORT, _LOGIN, least=1),
    Property(0x22, "topic_alias_maximum", SHORT, _LOGIN),
    Property(0x23, "topic_alias", SHORT, frozenset({PUBLISH}), least=1),
    Property(0x24, "maximum_qos", BYTE, frozenset({CONNACK}), most=1),
    Property(0x25, "retain_available", BYTE, frozenset({CONNACK}), most=1),
    Property(0x26, "user", PAIR, _ANYWHERE, repeats=True),
    Property(0x27, "maximum_packet_size", LONG, _LOGIN, least=1),
    Property(0x28, "wildcard_subscriptions", BYTE, frozenset({CONNACK}), most=1),
    Property(0x29, "subscription_ids_available", BYTE, frozenset({CONNACK}), most=1),
    Property(0x2A, "shared_subscriptions", BYTE, frozenset({CONNACK}), most=1),
)
_BY_ID = {line.id: line for line in TABLE}
_ORDER = {line.name: line for line in TABLE}
_SIZES = {BYTE: 1, SHORT: 2, LONG: 4}


def decode(reader: Reader, where: int) -> Properties | None:
    """Read a packet's properties; None where there are none."""
    length = reader.varint()
    if not length:
        return None
    end = reader.pos + length
    if end > reader.end:
        raise malformed(f"{length} bytes of properties, {reader.end - reader.pos} left in the packet")
    inner = Reader(reader.data, reader.pos, end)
    found: dict[str, Any] = {}
    count = 0
    while inner.pos < end:
        count += 1
        if count > MAX_PROPERTIES:
            raise MqttError(
                Reason.QUOTA_EXCEEDED, f"a packet has more than {MAX_PROPERTIES} properties, the limit"
            )
        _read_one(inner, where, found)
    reader.pos = end
    if where == SUBSCRIBE and len(found.get("subscription_ids", ())) > 1:
        raise MqttError(Reason.PROTOCOL_ERROR, "subscription_ids stands twice in a SUBSCRIBE")
    for name in ("user", "subscription_ids"):
        if name in found:
            found[name] = tuple(found[name])
    return Properties(**found)


def _read_one(reader: Reader, where: int, found: dict[str, Any]) -> None:
    line = _BY_ID.get(reader.varint())
    if line is None:
        raise malformed("a property has an identifier that MQTT 5 doesn't know")
    if where not in line.where:
        raise malformed(f"property {line.name} can't stand in packet type {where or 'will'}")
    value = _read_value(reader, line)
    if line.repeats:
        found.setdefault(line.name, []).append(value)
    elif line.name in found:
        raise MqttError(Reason.PROTOCOL_ERROR, f"property {line.name} stands twice")
    else:
        found[line.name] = value


def _read_value(reader: Reader, line: Property) -> Any:
    if line.kind == STRING:
        return reader.string()
    if line.kind == BINARY:
        return reader.binary()
    if line.kind == PAIR:
        return (reader.string(), reader.string())
    value = reader.varint() if line.kind == VARINT else int.from_bytes(reader.take(_SIZES[line.kind]), "big")
    if not line.least <= value <= line.most:
        raise _out_of_range(line, value)
    return value


def _out_of_range(line: Property, value: int) -> MqttError:
    reason = Reason.TOPIC_ALIAS_INVALID if line.name == "topic_alias" else Reason.PROTOCOL_ERROR
    return MqttError(reason, f"property {line.name} is {value}, it must be {line.least} to {line.most}")


def encode(properties: Properties | None) -> bytes:
    """Return properties behind their length."""
    if properties is None:
        return b"\0"
    body = b"".join([_write_all(line, value) for line, value in _present(properties)])
    return varint(len(body)) + body


def _present(properties: Properties) -> list[tuple[Property, Any]]:
    values = [(line, getattr(properties, name)) for name, line in _ORDER.items()]
    return [(line, value) for line, value in values if value is not None]


def _write_all(line: Property, value: Any) -> bytes:
    if line.repeats:
        return b"".join([_write(line, item) for item in value])
    return _write(line, value)


def _write(line: Property, value: Any) -> bytes:
    key = bytes((line.id,))
    if line.kind == STRING:
        return key + string(value)
    if line.kind == BINARY:
        return key + binary(value)
    if line.kind == PAIR:
        return key + string(value[0]) + string(value[1])
    if not line.least <= value <= line.most:
        raise _out_of_range(line, value)
    if line.kind == VARINT:
        return key + varint(value)
    size = _SIZES[line.kind]
    if value >> (8 * size):
        raise _out_of_range(line, value)
    return key + value.to_bytes(size, "big")
