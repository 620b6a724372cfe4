"""The packets of MQTT 3.1.1 and 5 as plain values. `properties` is None where a packet has none."""

from msgspec import Struct


class Properties(Struct, frozen=True, gc=False, omit_defaults=True):
    """Every property of MQTT 5 [5: 2.2.2.2]; None means that it is not there."""

    payload_format: int | None = None  # 1: the payload is UTF-8
    message_expiry: int | None = None  # seconds
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_ids: tuple[int, ...] | None = None
    session_expiry: int | None = None  # seconds
    assigned_client_id: str | None = None
    server_keep_alive: int | None = None  # seconds
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay: int | None = None  # seconds
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user: tuple[tuple[str, str], ...] | None = None  # names may repeat; the order counts
    maximum_packet_size: int | None = None  # bytes
    wildcard_subscriptions: int | None = None
    subscription_ids_available: int | None = None
    shared_subscriptions: int | None = None


class Will(Struct, frozen=True, gc=False):
    """What is published for a client that goes without a word."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None


class Connect(Struct, frozen=True, gc=False):
    """A client's first packet."""

    client_id: str
    version: int = 4  # 4 is MQTT 3.1.1, 5 is MQTT 5
    clean_start: bool = True
    keep_alive: int = 0  # seconds; 0 turns it off
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties | None = None


class Connack(Struct, frozen=True, gc=False):
    """The server's first packet; `reason` is a return code of 3.1.1 or a reason code of 5."""

    session_present: bool = False
    reason: int = 0
    properties: Properties | None = None


class Publish(Struct, frozen=True, gc=False):
    """A message, in either direction."""

    topic: str  # empty only where a topic alias stands for it
    payload: bytes
    qos: int = 0
    retain: bool = False
    packet_id: int = 0  # 0 at QoS 0
    dup: bool = False
    properties: Properties | None = None


class Puback(Struct, frozen=True, gc=False):
    """The answer to a QoS 1 message."""

    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class Pubrec(Struct, frozen=True, gc=False):
    """The first answer to a QoS 2 message."""

    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class Pubrel(Struct, frozen=True, gc=False):
    """The sender's release of a QoS 2 message."""

    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class Pubcomp(Struct, frozen=True, gc=False):
    """The last answer to a QoS 2 message."""

    packet_id: int
    reason: int = 0
    properties: Properties | None = None


class Subscription(Struct, frozen=True, gc=False):
    """One topic filter of a SUBSCRIBE with its options [5: 3.8.3.1]."""

    filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0  # 0 send retained messages, 1 only if the subscription is new, 2 don't
    identifier: int = 0  # of the SUBSCRIBE that it came with, which has it for all its filters; 0 is none


class Subscribe(Struct, frozen=True, gc=False):
    """A wish for messages."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties | None = None


class Suback(Struct, frozen=True, gc=False):
    """The answer to a SUBSCRIBE, one reason per filter."""

    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties | None = None


class Unsubscribe(Struct, frozen=True, gc=False):
    """The end of a wish for messages."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties | None = None


class Unsuback(Struct, frozen=True, gc=False):
    """The answer to an UNSUBSCRIBE; MQTT 3.1.1 has no reasons in it."""

    packet_id: int
    reasons: tuple[int, ...] = ()
    properties: Properties | None = None


class Pingreq(Struct, frozen=True, gc=False):
    """A client's sign of life."""


class Pingresp(Struct, frozen=True, gc=False):
    """The answer to a PINGREQ."""


class Disconnect(Struct, frozen=True, gc=False):
    """The last packet; from a server only in MQTT 5."""

    reason: int = 0
    properties: Properties | None = None


class Auth(Struct, frozen=True, gc=False):
    """A step of an extended authentication; MQTT 5 only."""

    reason: int = 0
    properties: Properties | None = None


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
