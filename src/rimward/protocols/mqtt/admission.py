"""What a server offers one client, and what it refuses for want of it."""

from msgspec import Struct

from rimward.protocols.mqtt.packets import Connack, Connect, Disconnect, Packet, Properties
from rimward.protocols.mqtt.reasons import CONNACK_CODES_3, MqttError, Reason
from rimward.protocols.mqtt.topics import problem

REASON_TEXT = 256  # characters of a reason string


class SessionLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one client may ask of the server."""

    max_packet_size: int = 256 << 10  # bytes, header included
    receive_maximum: int = 1024  # QoS 1 messages not yet acknowledged to the client
    topic_alias_maximum: int = 32
    max_client_id: int = 256  # bytes
    max_inflight: int = 4096  # QoS 1 messages sent and not yet acknowledged by the client
    max_output: int = 1 << 20  # bytes that wait for a slow reader, and again that wait for its PUBACKs
    connect_timeout: float = 10.0  # seconds from the connection to its CONNECT


DEFAULT_LIMITS = SessionLimits()


def check_connect(packet: Connect, limits: SessionLimits) -> None:
    """Check what a CONNECT asks for against what is offered.

    Raises:
        MqttError: it is refused.
    """
    if len(packet.client_id.encode()) > limits.max_client_id:
        raise MqttError(
            Reason.CLIENT_IDENTIFIER_NOT_VALID, f"the client id is longer than {limits.max_client_id} bytes"
        )
    if packet.version == 4 and not packet.client_id and not packet.clean_start:
        raise MqttError(
            Reason.CLIENT_IDENTIFIER_NOT_VALID, "no client id and no clean session [3.1.1: 3.1.3.1]"
        )
    if packet.properties is not None and packet.properties.authentication_method is not None:
        raise MqttError(Reason.BAD_AUTHENTICATION_METHOD, "extended authentication is not offered")
    if packet.will is not None and packet.will.qos == 2:
        raise MqttError(Reason.QOS_NOT_SUPPORTED, "a will at QoS 2 is not offered, the maximum is 1")
    if packet.will is not None and (detail := problem(packet.will.topic)) is not None:
        raise MqttError(Reason.TOPIC_NAME_INVALID, f"the will's topic is refused: {detail}")


def goodbyes(error: MqttError, version: int, *, accepted: bool) -> tuple[Packet, ...]:
    """Return what the last packet may be, the fullest first: MQTT 5 says why [5: 4.13].

    MQTT 3.1.1 can only refuse a CONNECT [3.1.1: 3.2.2.3].
    """
    if version == 5:
        texts = (reason_text(error.detail), None)
        return tuple(
            Disconnect(error.reason, text) if accepted else Connack(reason=error.reason, properties=text)
            for text in texts
        )
    code = CONNACK_CODES_3.get(error.reason)
    return () if accepted or not version or code is None else (Connack(reason=code),)


def reason_text(text: str) -> Properties | None:
    """Return a text as the property that carries it, cut to its limit; None where there is none."""
    clean = text.replace("\0", "").encode(errors="replace").decode()[:REASON_TEXT]
    return Properties(reason_string=clean) if clean else None


def offer(limits: SessionLimits, connect: Connect, assigned_client_id: str | None) -> Properties:
    """Return what the server offers, as CONNACK says it [5: 3.2.2.3]."""
    asked = connect.properties.session_expiry if connect.properties is not None else None
    return Properties(
        session_expiry=0 if asked else None,
        receive_maximum=limits.receive_maximum,
        maximum_qos=1,
        maximum_packet_size=limits.max_packet_size,
        assigned_client_id=assigned_client_id,
        topic_alias_maximum=limits.topic_alias_maximum,
    )
