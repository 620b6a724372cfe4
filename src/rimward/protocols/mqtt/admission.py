"""What a server offers one client, and what it refuses for want of it."""

from msgspec import Struct

from rimward.protocols.mqtt.packets import Connack, Connect, Disconnect, Packet, Properties
from rimward.protocols.mqtt.reasons import CONNACK_CODES_3, CONNACK_REASONS, MqttError, Reason
from rimward.protocols.mqtt.topics import problem

FOR_EVER = 0xFFFFFFFF  # seconds: a session that does not expire [5: 3.1.2.11.2]
ELSEWHERE = frozenset({Reason.USE_ANOTHER_SERVER, Reason.SERVER_MOVED})
REASON_TEXT = 256  # characters of a reason string


class SessionLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one client may ask of the server."""

    max_packet_size: int = 256 << 10  # bytes, header included
    receive_maximum: int = 1024  # messages above QoS 0 not yet acknowledged to the client
    topic_alias_maximum: int = 32
    max_client_id: int = 256  # bytes
    max_inflight: int = 4096  # messages above QoS 0 sent and not yet acknowledged by the client
    max_output: int = 1 << 20  # bytes that wait for a slow reader, and again that wait for its PUBACKs
    authentication_methods: tuple[str, ...] = ()  # of enhanced authentication [5: 4.12]
    server_reference: str = ""  # where else a client may go [5: 4.11]
    max_keep_alive: int = 0  # seconds; 0: any is fine
    response_information: str = ""  # for those that ask; {client} is the client id
    aliases_to_clients: int = 32  # topics that get an alias towards the client
    connect_timeout: float = 10.0  # seconds from the connection to its CONNECT
    max_session_expiry: int = FOR_EVER  # seconds that a session may outlive its connection; 0: none does
    session_expiry_3: int = 7 * 86_400  # the same for those of MQTT 3.1.1, which names no time


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
    method = packet.properties.authentication_method if packet.properties is not None else None
    if method is not None and method not in limits.authentication_methods:
        raise MqttError(Reason.BAD_AUTHENTICATION_METHOD, f"{method[:64]} is not offered")
    if packet.will is not None and (detail := problem(packet.will.topic)) is not None:
        raise MqttError(Reason.TOPIC_NAME_INVALID, f"the will's topic is refused: {detail}")


def goodbyes(error: MqttError, version: int, reference: str, *, accepted: bool) -> tuple[Packet, ...]:
    """Return what the last packet may be, the fullest first: MQTT 5 says why [5: 4.13], and where else to go.

    MQTT 3.1.1 can only refuse a CONNECT [3.1.1: 3.2.2.3].
    """
    if version == 5:
        reason = error.reason
        if not accepted and reason not in CONNACK_REASONS:  # a later packet's fault, and CONNECT still waits
            reason = Reason.PROTOCOL_ERROR
        elsewhere = reference if reason in ELSEWHERE and reference else None
        text = reason_text(error.detail)
        texts: tuple[Properties | None, ...] = (text, None)
        if elsewhere is not None:
            words = text.reason_string if text is not None else None
            texts = (
                Properties(server_reference=elsewhere, reason_string=words),
                Properties(server_reference=elsewhere),
                None,
            )
        return tuple(
            Disconnect(reason, text) if accepted else Connack(reason=reason, properties=text)
            for text in texts
        )
    code = CONNACK_CODES_3.get(error.reason)
    return () if accepted or not version or code is None else (Connack(reason=code),)


def reason_text(text: str) -> Properties | None:
    """Return a text as the property that carries it, cut to its limit; None where there is none."""
    clean = text.replace("\0", "").encode(errors="replace").decode()[:REASON_TEXT]
    return Properties(reason_string=clean) if clean else None


def keep_alive_of(connect: Connect, limits: SessionLimits) -> int:
    """Return the keep-alive that holds, seconds: MQTT 5 clients can be told another one."""
    asked, most = connect.keep_alive, limits.max_keep_alive
    return most if connect.version == 5 and most and (not asked or asked > most) else asked


def _response_information(limits: SessionLimits, connect: Connect, client_id: str) -> str | None:
    wanted = connect.properties is not None and connect.properties.request_response_information == 1
    return limits.response_information.replace("{client}", client_id) or None if wanted else None


def offer(
    limits: SessionLimits,
    connect: Connect,
    assigned_client_id: str | None,
    expiry: int,
    proof: bytes | None = None,
) -> Properties:
    """Return what the server offers, as CONNACK says it [5: 3.2.2.3].

    `expiry` is the session's, seconds; `proof` ends an enhanced authentication.
    """
    keep_alive = keep_alive_of(connect, limits)
    method = connect.properties.authentication_method if connect.properties is not None else None
    asked = connect.properties.session_expiry if connect.properties is not None else None
    return Properties(
        session_expiry=expiry if expiry != (asked or 0) else None,
        receive_maximum=limits.receive_maximum,
        maximum_packet_size=limits.max_packet_size,
        assigned_client_id=assigned_client_id,
        topic_alias_maximum=limits.topic_alias_maximum,
        server_keep_alive=keep_alive if keep_alive != connect.keep_alive else None,
        response_information=_response_information(limits, connect, assigned_client_id or connect.client_id),
        authentication_method=method,
        authentication_data=proof,
    )
