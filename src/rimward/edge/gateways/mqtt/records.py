"""Sessions as they lie on disk: one entry a session, one a message, one a QoS 2 id of the client."""

import msgspec
from msgspec import Struct

from rimward.edge.access import Badge
from rimward.protocols.mqtt import Subscription, Will
from rimward.protocols.mqtt.flights import Flight
from rimward.protocols.mqtt.outgoing import Outgoing

SESSIONS = "mqtt-session"  # by client id
MESSAGES = "mqtt-message"  # by place in the order of all, packet id and client id
TAKEN = "mqtt-taken"  # by packet id and client id


class SessionRecord(Struct, frozen=True, gc=False):
    """A session. Times are wall clock, ns; 0 is never, or not now."""

    protocol: str
    user: str | None
    expiry: int  # seconds after its connection
    connected: bool
    until: int  # its end
    subscriptions: tuple[Subscription, ...]
    will: Will | None
    will_at: int
    badge: Badge  # whom it belongs to
    sent: int = 0  # the place of the last message that went to the client, known when its connection is over


class MessageRecord(Struct, frozen=True, gc=False, array_like=True):
    """A message on its way to one client. Of one that is released its packet id is all that counts."""

    qos: int
    retain: bool
    released: bool
    topic: bytes = b""
    payload: bytes = b""
    properties: bytes = b"\0"
    older: bytes | None = None
    until: int = 0  # wall ns; 0 is for ever
    share: str = ""  # the shared filter for which it goes to this client alone


_encode = msgspec.msgpack.encode
_sessions = msgspec.msgpack.Decoder(SessionRecord)
_messages = msgspec.msgpack.Decoder(MessageRecord)


def key_of(flight: Flight, client_id: str) -> str:
    """Return a message's key."""
    return f"{flight.seq:x}.{flight.packet_id:x} {client_id}"


def taken_key(packet_id: int, client_id: str) -> str:
    """Return the key of a client's QoS 2 id."""
    return f"{packet_id:x} {client_id}"


def split_key(key: str) -> tuple[int, int, str]:
    """Return a key's place in the order of all, 0 where it has none, its packet id and its client id."""
    numbers, _, client_id = key.partition(" ")
    seq, _, packet_id = numbers.rpartition(".")
    return int(seq or "0", 16), int(packet_id, 16), client_id


def encode_session(record: SessionRecord) -> bytes:
    """Return a session's entry."""
    return _encode(record)


def decode_session(value: bytes) -> SessionRecord:
    """Return what an entry says of a session."""
    return _sessions.decode(value)


def encode_flight(flight: Flight, until: int) -> bytes:
    """Return a message's entry; `until` is the end of its time, wall ns, 0 for never."""
    if flight.released:
        return _encode(MessageRecord(flight.qos, retain=False, released=True))
    message = flight.message
    older = None if message.older is message.payload else message.older
    return _encode(
        MessageRecord(
            flight.qos,
            flight.retain,
            False,
            message.topic,
            message.payload,
            message.properties,
            older,
            until,
            message.share,
        )
    )


def decode_flight(key: str, value: bytes) -> tuple[str, Flight, int]:
    """Return the client id, the message, and the end of its time."""
    seq, packet_id, client_id = split_key(key)
    record = _messages.decode(value)
    message = Outgoing(
        record.topic,
        record.payload,
        record.qos,
        retain=record.retain,
        encoded=record.properties,
        older=record.older,
    )
    message.share = record.share
    flight = Flight(message, record.qos, retain=record.retain, packet_id=packet_id)
    flight.seq, flight.released = seq, record.released
    return client_id, flight, record.until
