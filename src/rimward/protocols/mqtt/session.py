"""A server's side of one connection, without I/O: bytes in, packets and bytes out.

The driver feeds bytes, answers each packet in order with the methods below until the session is `closed`,
and sends `data_to_send()`. A broken rule never raises: it stands in `error`, and the goodbye in the
protocol's own words follows the answers to the packets before it. What a session keeps beyond its connection
is in `Flights`, which the driver hands from one connection to the next. What is not offered is refused by
name [5: 3.2.2.3].
"""

from msgspec.structs import replace

from rimward.protocols.mqtt import encoding
from rimward.protocols.mqtt.admission import (
    DEFAULT_LIMITS,
    SessionLimits,
    check_connect,
    goodbyes,
    keep_alive_of,
    offer,
    reason_text,
)
from rimward.protocols.mqtt.aliases import Aliases
from rimward.protocols.mqtt.authentication import check_auth, method_of, step
from rimward.protocols.mqtt.flights import Flights
from rimward.protocols.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from rimward.protocols.mqtt.reasons import MqttError, Reason
from rimward.protocols.mqtt.sending import Sending
from rimward.protocols.mqtt.topics import too_large

PENDING = -1  # the reason of a PUBREC that is not ready
MOST_TAKEN = 8  # times Receive Maximum: QoS 2 ids of one client that it has not released


class ServerSession(Sending):
    """One client's session at a server."""

    __slots__ = (
        "_aliases",
        "_before",
        "_keep_alive",
        "_reason_texts",
        "_said_goodbye",
        "accepted",
        "client_id",
        "connect",
        "exchanging",
        "expiry",
        "goodbye_reason",
        "held",
        "last_packet",
        "method",
        "proof",
        "taken",
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
        self.expiry: int = 0  # seconds that the session outlives the connection; FOR_EVER is what it says
        self.held: set[int] = set()  # the client's packet ids whose answer is not ready, never ours [2.2.1]
        # the client's QoS 2 ids from their PUBLISH to their PUBCOMP, with the reason of their PUBREC
        self.taken: dict[int, int] = {}
        self._before: set[int] | None = None  # those of an earlier connection
        self.goodbye_reason: int = 0  # what the client's DISCONNECT said
        self.last_packet: float = now
        self.method: str | None = None  # of its enhanced authentication
        self.exchanging: bool = False  # that is not at its end
        self.proof: bytes | None = None  # what CONNACK says in the method's words
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
        if not self.accepted:
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
            self.out.append(self._fitting(*self._goodbyes(self.error)))
        data = b"".join(self.out)
        self.out.clear()
        self.out_size = 0
        return data

    def accept(
        self, assigned_client_id: str = "", flights: Flights | None = None, *, present: bool = False
    ) -> None:
        """Answer CONNECT with success; `present` tells that `flights` are of an earlier connection."""
        assert self.connect is not None
        self.client_id = assigned_client_id or self.connect.client_id
        if self.version == 5:
            properties = offer(self.limits, self.connect, assigned_client_id or None, self.expiry, self.proof)
            self._say(Connack(present, properties=properties))
        else:
            self._send(encoding.CONNACK_PRESENT if present else encoding.CONNACK)
        self.accepted = not self.closed
        if self.method is not None:
            self.exchanging = False
            self.open_lane()
        plain = not (self._peer_packet_size or self._short or self.closed)
        self.out_room: int = self.limits.max_output if plain else 0
        if flights is not None:
            self.adopt(flights)
            self.taken = flights.received
            self._before = set(flights.received)

    # -- the client's messages

    def hold(self, packet_id: int, qos: int = 1) -> bool:
        """Take on the answer to a message; False where its id, or one message more, breaks a rule."""
        limit, count = self.limits.receive_maximum, len(self.held) + len(self.taken)
        if self._before:  # a client counts anew on each connection [5: 4.9]
            count -= len(self._before)
        if packet_id in self.held or packet_id in self.taken:
            self.fail(Reason.PROTOCOL_ERROR, f"packet identifier {packet_id} is still in use")
        elif self.version == 5 and count >= limit:
            self.fail(
                Reason.RECEIVE_MAXIMUM_EXCEEDED,
                f"{count + 1} messages unacknowledged, the limit is {limit}",
            )
        elif qos == 1:
            self.held.add(packet_id)
            return True
        elif len(self.taken) >= MOST_TAKEN * limit:
            self.fail(Reason.QUOTA_EXCEEDED, f"{len(self.taken)} messages at QoS 2 are not released")
        else:
            self.taken[packet_id] = PENDING
            return True
        return False

    def acknowledge(self, packet_id: int, reason: int = 0, text: str = "") -> None:
        """Send PUBACK. Reason and text reach MQTT 5 clients alone."""
        self.held.discard(packet_id)
        if reason and self.version == 5:
            self._refuse(Puback, packet_id, reason, text)
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

    def record(self, packet_id: int, reason: int = 0, text: str = "") -> None:
        """Send PUBREC; at a reason of 0x80 or more the flow ends, and the id is free again [5: 4.3.3]."""
        if self.version != 5:
            reason = 0
        if self.closed:
            self.taken[packet_id] = reason  # it is said when the client asks again
            return
        if reason >= 0x80:
            self.forget(packet_id)
            self._refuse(Pubrec, packet_id, reason, text)
        else:
            self.taken[packet_id] = reason
            self._send(encoding.encode(Pubrec(packet_id), self.version))

    def repeated(self, packet_id: int) -> int | None:
        """Answer a QoS 2 message that was taken before and return the answer's reason; None: it is new.

        PENDING: the answer to the first one serves both.
        """
        reason = self.taken.get(packet_id)
        if reason is not None:
            if self._before is not None:
                self._before.discard(packet_id)
            if reason != PENDING:
                self.record(packet_id, reason)
        return reason

    def complete(self, packet_id: int, reason: int = 0) -> None:
        """Send PUBCOMP and forget the id."""
        self.forget(packet_id)
        if not self.closed:
            answer = Pubcomp(packet_id, reason if self.version == 5 else 0)
            self._send(encoding.encode(answer, self.version))

    def forget(self, packet_id: int) -> None:
        """Let an id go without a word."""
        self.taken.pop(packet_id, None)
        if self._before is not None:
            self._before.discard(packet_id)

    def _refuse(self, kind: type[Puback | Pubrec], packet_id: int, reason: int, text: str) -> None:
        properties = reason_text(text) if self._reason_texts else None
        self._say(kind(packet_id, reason, properties), kind(packet_id, reason))

    # -- other answers

    def granted(self, packet: Subscribe, reasons: tuple[int, ...], text: str = "") -> None:
        """Send SUBACK, one reason per filter; the text says why one was refused, to MQTT 5 clients alone."""
        if self.version != 5:
            reasons = tuple(min(128, reason) for reason in reasons)
        properties = reason_text(text) if self._reason_texts else None
        self._say(Suback(packet.packet_id, reasons, properties), Suback(packet.packet_id, reasons))

    def ended_subscriptions(self, packet: Unsubscribe, reasons: tuple[int, ...], text: str = "") -> None:
        """Send UNSUBACK, one reason per filter; the text says why one did not end anything."""
        properties = reason_text(text) if self._reason_texts else None
        self._say(Unsuback(packet.packet_id, reasons, properties), Unsuback(packet.packet_id, reasons))

    def challenge(self, data: bytes) -> None:
        """Send the next step of an enhanced authentication."""
        assert self.method is not None
        self._say(step(self.method, data))

    def authenticated_again(self, data: bytes) -> None:
        """Send AUTH that ends a re-authentication well [5: 4.12.1]."""
        assert self.method is not None
        self.exchanging = False
        self._say(step(self.method, data, Reason.SUCCESS))

    def pong(self) -> None:
        """Send PINGRESP."""
        self._send(encoding.PINGRESP)

    def _goodbyes(self, error: MqttError) -> tuple[Packet, ...]:
        reference = self.limits.server_reference
        return goodbyes(error, self.version, reference, accepted=self.accepted)

    # -- rules of the connection

    def _accept(self, packet: Packet) -> Packet:
        if self.method is not None and not self.accepted and not isinstance(packet, Auth | Disconnect):
            raise MqttError(Reason.PROTOCOL_ERROR, "only AUTH may come before CONNACK [MQTT-3.1.2-30]")
        match packet:
            case Publish():
                return self._accept_publish(packet)
            case Connect() if self.connect is None:
                self._accept_connect(packet)
            case Puback() | Pubrec() | Pubrel() | Pubcomp() | Pingreq() | Subscribe() | Unsubscribe():
                pass
            case Disconnect():
                self._accept_disconnect(packet)
            case Auth():
                check_auth(packet, self.method, accepted=self.accepted, exchanging=self.exchanging)
                self.exchanging = True
            case _:
                raise MqttError(
                    Reason.PROTOCOL_ERROR, f"{type(packet).__name__.upper()} is not expected here"
                )
        return packet

    def _accept_connect(self, packet: Connect) -> None:
        self.connect = packet
        self.method = method_of(packet)
        if self.method is None:
            self.open_lane()
        self.exchanging = self.method is not None
        self._keep_alive = float(keep_alive_of(packet, self.limits))
        longest = self.limits.max_session_expiry
        if self.version != 5:  # MQTT 3.1.1 names no time
            self.expiry = 0 if packet.clean_start else min(self.limits.session_expiry_3, longest)
        if (properties := packet.properties) is not None:
            self._window = min(self._window, properties.receive_maximum or 0xFFFF)
            self._peer_packet_size = properties.maximum_packet_size or 0
            self._reason_texts = properties.request_problem_information != 0
            if names := min(properties.topic_alias_maximum or 0, self.limits.aliases_to_clients):
                self._short: Aliases | None = Aliases(names)
            self.expiry = min(properties.session_expiry or 0, longest)
        check_connect(packet, self.limits)

    def _accept_disconnect(self, packet: Disconnect) -> None:
        self.ended = True
        self.goodbye_reason = packet.reason
        asked = packet.properties.session_expiry if packet.properties is not None else None
        if asked is None:
            return
        before = self.connect.properties.session_expiry if self.connect and self.connect.properties else None
        if asked and not before:
            raise MqttError(
                Reason.PROTOCOL_ERROR, "a DISCONNECT asks for a session expiry that CONNECT did not"
            )
        self.expiry = min(asked, self.limits.max_session_expiry)

    def _accept_publish(self, packet: Publish) -> Publish:
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
            if (detail := too_large(packet.topic)) is not None:  # kept, it would cost far more than it says
                raise MqttError(Reason.TOPIC_NAME_INVALID, f"{detail}: it can't have an alias")
            self._aliases[alias] = packet.topic
            return packet
        topic = self._aliases.get(alias)
        if topic is None:
            raise MqttError(Reason.PROTOCOL_ERROR, f"topic alias {alias} was never set")
        return replace(packet, topic=topic)
