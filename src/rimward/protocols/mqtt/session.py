"""A server's side of one connection, without I/O: bytes in, packets and bytes out.

The driver feeds bytes, answers each packet in order with the methods below until the session is `closed`,
and sends `data_to_send()`. A broken rule never raises: it stands in `error`, and the goodbye in the
protocol's own words follows the answers to the packets before it. Sessions end with their connection: expiry
0, session present 0. What is not offered (QoS 2, extended
authentication) is announced and refused [5: 3.2.2.3].
"""

from rimward.protocols.mqtt import encoding
from rimward.protocols.mqtt.admission import (
    DEFAULT_LIMITS,
    SessionLimits,
    check_connect,
    goodbyes,
    offer,
    reason_text,
)
from rimward.protocols.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from rimward.protocols.mqtt.reasons import MqttError, Reason
from rimward.protocols.mqtt.sending import Sending


class ServerSession(Sending):
    """One client's session at a server."""

    __slots__ = (
        "_aliases",
        "_keep_alive",
        "_reason_texts",
        "_said_goodbye",
        "accepted",
        "client_id",
        "connect",
        "goodbye_reason",
        "held",
        "last_packet",
    )

    def __init__(
        self,
        now: float,
        limits: SessionLimits = DEFAULT_LIMITS,
        *,
        topics: dict[bytes, str] | None = None,
        counters: dict[str, int] | None = None,
    ) -> None:
        """`now` is monotonic seconds; `topics` and `counters` may be shared by many sessions."""
        super().__init__(limits, topics=topics, counters=counters)
        self.connect: Connect | None = None  # None until the client has said who it is
        self.client_id: str = ""  # as accepted
        self.accepted: bool = False
        self.held: set[int] = set()  # the client's packet ids whose answer is not ready, never ours [2.2.1]
        self.goodbye_reason: int = 0  # what the client's DISCONNECT said
        self.last_packet: float = now
        self._keep_alive = 0.0  # seconds
        self._reason_texts = True
        self._aliases: dict[int, str] = {}
        self._said_goodbye = False

    # -- in

    def receive_data(self, data: bytes, now: float) -> list[Packet]:
        """Return the packets that `data` completes, up to the first that breaks a rule."""
        packets = self.feed(data)
        if packets:
            self.last_packet = now
        return packets

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds at which the client has been silent for too long [3.1.2.10]; None is never."""
        if self.connect is None:
            return self.last_packet + self.limits.connect_timeout
        return self.last_packet + 1.5 * self._keep_alive if self._keep_alive else None

    def is_late(self, now: float) -> bool:
        """Fail a session whose deadline has passed, and tell so."""
        deadline = self.deadline
        if deadline is None or now < deadline or self.closed:
            return False
        self.fail(Reason.KEEP_ALIVE_TIMEOUT, "nothing was heard in time")
        return True

    # -- out

    def data_to_send(self) -> bytes:
        """Return what is to be sent, the goodbye last, and forget it."""
        if self.error is not None and not self._said_goodbye:
            self._said_goodbye = True
            self.close()
            self.out.append(self._fitting(*goodbyes(self.error, self.version, accepted=self.accepted)))
        data = b"".join(self.out)
        self.out.clear()
        self.out_size = 0
        return data

    def accept(self, assigned_client_id: str = "") -> None:
        """Answer CONNECT with success."""
        assert self.connect is not None
        self.client_id = assigned_client_id or self.connect.client_id
        properties = None
        if self.version == 5:
            properties = offer(self.limits, self.connect, assigned_client_id or None)
        self._say(Connack(properties=properties))
        self.accepted = not self.closed
        self.out_room: int = 0 if self._peer_packet_size or self.closed else self.limits.max_output

    def hold(self, packet_id: int) -> bool:
        """Take on the answer to a QoS 1 message; False where its id, or one message more, breaks a rule."""
        if packet_id in self.held:
            self.fail(Reason.PROTOCOL_ERROR, f"packet identifier {packet_id} is still in use")
        elif self.version == 5 and len(self.held) >= self.limits.receive_maximum:
            self.fail(
                Reason.RECEIVE_MAXIMUM_EXCEEDED,
                f"{len(self.held) + 1} messages unacknowledged, the limit is {self.limits.receive_maximum}",
            )
        else:
            self.held.add(packet_id)
            return True
        return False

    def acknowledge(self, packet_id: int, reason: int = 0, text: str = "") -> None:
        """Send PUBACK. Reason and text reach MQTT 5 clients alone."""
        self.held.discard(packet_id)
        if reason and self.version == 5:
            properties = reason_text(text) if self._reason_texts else None
            self._say(Puback(packet_id, reason, properties), Puback(packet_id, reason))
        else:
            self._send(encoding.puback(packet_id))

    def acknowledge_plain(self, identity: bytes) -> None:
        """Send the PUBACK of a message that was answered at once; `identity` is its packet id as it came."""
        size = self.out_size + 4
        if size <= self.out_room:
            self.out.append(b"\x40\x02" + identity)
            self.out_size: int = size
        else:
            self._send(b"\x40\x02" + identity)

    def granted(self, packet: Subscribe, reasons: tuple[int, ...]) -> None:
        """Send SUBACK, one reason per filter."""
        if self.version != 5:
            reasons = tuple(min(128, reason) for reason in reasons)
        self._say(Suback(packet.packet_id, reasons))

    def ended_subscriptions(self, packet: Unsubscribe, reasons: tuple[int, ...]) -> None:
        """Send UNSUBACK, one reason per filter."""
        self._say(Unsuback(packet.packet_id, reasons))

    def pong(self) -> None:
        """Send PINGRESP."""
        self._send(encoding.PINGRESP)

    # -- private

    def _say(self, *packets: Packet) -> None:
        """Send the first of some answers that the client takes; where it takes none, end the session."""
        if data := self._fitting(*packets):
            self._send(data)
        else:
            self.fail(
                Reason.PACKET_TOO_LARGE,
                f"an answer is over the client's limit, {self._peer_packet_size} bytes",
            )

    def _fitting(self, *packets: Packet) -> bytes:
        """Return the first packet within the client's limit [MQTT-3.1.2-24], or nothing."""
        for packet in packets:
            data = encoding.encode(packet, self.version)
            if not self._peer_packet_size or len(data) <= self._peer_packet_size:
                return data
        return b""

    # -- rules of the connection

    def _accept(self, packet: Packet) -> Packet:
        match packet:
            case Publish():
                return self._accept_publish(packet)
            case Puback() | Pingreq() | Subscribe() | Unsubscribe():
                pass
            case Connect() if self.connect is None:
                self._accept_connect(packet)
            case Disconnect():
                self._accept_disconnect(packet)
            case _:
                raise MqttError(
                    Reason.PROTOCOL_ERROR, f"{type(packet).__name__.upper()} is not expected here"
                )
        return packet

    def _accept_connect(self, packet: Connect) -> None:
        self.connect = packet
        self.open_lane()
        self._keep_alive = float(packet.keep_alive)
        if (properties := packet.properties) is not None:
            self._window = min(self._window, properties.receive_maximum or 0xFFFF)
            self._peer_packet_size = properties.maximum_packet_size or 0
            self._reason_texts = properties.request_problem_information != 0
        check_connect(packet, self.limits)

    def _accept_disconnect(self, packet: Disconnect) -> None:
        self.ended = True
        self.goodbye_reason = packet.reason
        asked = packet.properties.session_expiry if packet.properties is not None else None
        if asked and not (
            self.connect and self.connect.properties and self.connect.properties.session_expiry
        ):
            raise MqttError(
                Reason.PROTOCOL_ERROR, "a DISCONNECT asks for a session expiry that CONNECT did not"
            )

    def _accept_publish(self, packet: Publish) -> Publish:
        if packet.qos == 2:
            raise MqttError(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered, the maximum is 1")
        properties = packet.properties
        if properties is None:
            return packet
        if properties.subscription_ids is not None:
            raise MqttError(Reason.PROTOCOL_ERROR, "a client's PUBLISH has a subscription identifier")
        if properties.topic_alias is None:
            return packet
        return self._resolve(packet, properties.topic_alias)

    def _resolve(self, packet: Publish, alias: int) -> Publish:
        """Set a topic alias, or put in the topic that it stands for [5: 3.3.2.3.4]."""
        if alias > self.limits.topic_alias_maximum:
            raise MqttError(
                Reason.TOPIC_ALIAS_INVALID,
                f"topic alias {alias}, the limit is {self.limits.topic_alias_maximum}",
            )
        if packet.topic:
            self._aliases[alias] = packet.topic
            return packet
        topic = self._aliases.get(alias)
        if topic is None:
            raise MqttError(Reason.PROTOCOL_ERROR, f"topic alias {alias} was never set")
        return Publish(
            topic, packet.payload, packet.qos, packet.retain, packet.packet_id, packet.dup, packet.properties
        )
