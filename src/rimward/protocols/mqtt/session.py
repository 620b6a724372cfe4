"""A server's side of one connection, without I/O: bytes in, packets and bytes out.

The driver feeds bytes, answers each packet in order with the methods below until the session is `closed`,
and sends `data_to_send()`. A broken rule never raises: it stands in `error`, and the goodbye in the
protocol's own words follows the answers to the packets before it. Sessions end with their connection: expiry
0, session present 0. What is not offered (QoS 2, shared subscriptions, subscription identifiers, extended
authentication) is announced and refused [5: 3.2.2.3].
"""

from collections import deque

from rimward.protocols.mqtt import encoding
from rimward.protocols.mqtt.admission import (
    DEFAULT_LIMITS,
    SessionLimits,
    check_connect,
    check_subscribe,
    goodbyes,
    offer,
    reason_text,
)
from rimward.protocols.mqtt.outgoing import Outgoing
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
from rimward.protocols.mqtt.stream import Decoder


class ServerSession(Decoder):
    """One client's session at a server."""

    __slots__ = (
        "_aliases",
        "_keep_alive",
        "_next_id",
        "_peer_packet_size",
        "_reason_texts",
        "_said_goodbye",
        "_waiting",
        "_waiting_size",
        "_window",
        "accepted",
        "client_id",
        "closed",
        "connect",
        "counters",
        "goodbye_reason",
        "held",
        "inflight",
        "last_packet",
        "limits",
        "out",
        "out_room",
        "out_size",
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
        super().__init__(limits.max_packet_size, topics=topics)
        self.limits: SessionLimits = limits
        self.counters: dict[str, int] = {} if counters is None else counters
        self.connect: Connect | None = None  # None until the client has said who it is
        self.client_id = ""  # as accepted
        self.accepted = False
        self.closed: bool = (
            False  # nothing more is sent but the goodbye; packets not yet answered are dropped
        )
        self.out: list[bytes] = []  # packets to send
        self.out_size: int = 0  # bytes in it
        self.out_room = 0  # bytes up to which plain messages may be put there directly; see `send_plain`
        self.held: set[int] = set()  # the client's packet ids whose answer is not ready, never ours [2.2.1]
        self.inflight: set[int] = set()  # our packet ids that the client has not acknowledged
        self.goodbye_reason = 0  # what the client's DISCONNECT said
        self.last_packet = now
        self._keep_alive = 0.0  # seconds
        # QoS 1 messages beyond the client's window; most clients never need the queue, which is not small
        self._waiting: deque[tuple[Outgoing, bool]] | None = None
        self._waiting_size = 0  # bytes
        self._window, self._peer_packet_size = limits.max_inflight, 0  # bytes; 0 is no limit
        self._reason_texts = True
        self._aliases: dict[int, str] = {}
        self._next_id = 0
        self._said_goodbye = False

    # -- in

    def receive_data(self, data: bytes, now: float) -> list[Packet]:
        """Return the packets that `data` completes, up to the first that breaks a rule."""
        packets = self.feed(data)
        if packets:
            self.last_packet: float = now
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

    def fail(self, reason: Reason, detail: str) -> None:
        """End the session for a reason; the first one stands."""
        if not self.closed:
            self.error: MqttError | None = MqttError(reason, detail)
            self.close()

    def close(self) -> None:
        """Take nothing more; what is queued, and a goodbye if there is one, may still be sent."""
        self.closed = self.over = True
        self.out_room = 0

    # -- out

    @property
    def has_window(self) -> bool:
        """Whether a QoS 1 message would leave at once."""
        return not self._waiting and len(self.inflight) < self._window

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
        self.client_id: str = assigned_client_id or self.connect.client_id
        properties = None
        if self.version == 5:
            properties = offer(self.limits, self.connect, assigned_client_id or None)
        self._say(Connack(properties=properties))
        self.accepted: bool = not self.closed
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

    def deliver(self, message: Outgoing, qos: int, now: float, *, retain: bool) -> bool:
        """Send a message, or queue it where the client's window is full; False: dropped and counted."""
        if self.closed:
            return False
        if not qos:
            return self.send_plain(message.plain(self.version, retain=retain, now=now))
        if len(self.inflight) < self._window and not self._waiting:
            return self._send_numbered(message, now, retain=retain)
        if self._waiting_size + message.size > self.limits.max_output:
            self.fail(Reason.QUOTA_EXCEEDED, f"more than {self.limits.max_output} bytes wait for PUBACKs")
            return False
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append((message, retain))
        self._waiting_size += message.size
        return True

    def send_plain(self, data: bytes) -> bool:
        """Send a PUBLISH at QoS 0 that is encoded already; False: dropped and counted.

        Where `out_size` and the packet fit into `out_room`, a driver in a hurry may do it by itself.
        """
        size = len(data)
        if self.closed:
            return False
        if self._peer_packet_size and size > self._peer_packet_size:
            self._count("dropped_too_large")
            return False
        if self.out_size + size > self.limits.max_output:
            self._count("dropped_slow_reader")
            return False
        self.out.append(data)
        self.out_size += size
        return True

    def send_numbered(self, head: bytes, payload: bytes) -> bool:
        """Send a plain message at QoS 1 at once; False where it can't be, and `deliver` is to be asked.

        `head` is the topic behind its length.
        """
        inflight = self.inflight
        packet_id = self._next_id + 1
        if (
            self.closed
            or self._waiting
            or self._peer_packet_size
            or len(inflight) >= self._window
            or packet_id > 0xFFFF
            or packet_id in inflight
        ):
            return False
        tail = b"\0" if self.version == 5 else b""
        data = encoding.plain_publish_1(head, packet_id.to_bytes(2, "big"), tail, payload)
        size = self.out_size + len(data)
        if size > self.limits.max_output:
            return False
        self._next_id = packet_id
        inflight.add(packet_id)
        self.out.append(data)
        self.out_size = size
        return True

    def confirmed(self, packet: Puback, now: float) -> None:
        """Take a PUBACK of the client and send what waited for it."""
        if packet.packet_id not in self.inflight:
            self._count("unexpected_pubacks")
            return
        self.inflight.remove(packet.packet_id)
        if self._waiting:
            self._send_waiting(now)

    def _send_waiting(self, now: float) -> None:
        while self._waiting and len(self.inflight) < self._window and not self.closed:
            message, retain = self._waiting.popleft()
            self._waiting_size -= message.size
            if message.is_expired(now):
                self._count("expired")
            else:
                self._send_numbered(message, now, retain=retain)

    # -- private

    def _send(self, data: bytes) -> None:
        self.out.append(data)
        self.out_size += len(data)
        if self.out_size > 2 * self.limits.max_output:
            self.fail(Reason.QUOTA_EXCEEDED, "answers are asked for and not read")

    def _send_numbered(self, message: Outgoing, now: float, *, retain: bool) -> bool:
        packet_id = self._free_id()
        data = message.numbered(self.version, packet_id, retain=retain, now=now)
        if self._peer_packet_size and len(data) > self._peer_packet_size:
            self._count("dropped_too_large")
            return False
        if self.out_size + len(data) > self.limits.max_output:
            self.fail(Reason.QUOTA_EXCEEDED, f"more than {self.limits.max_output} bytes wait to be read")
            return False
        self.inflight.add(packet_id)
        self._send(data)
        return True

    def _free_id(self) -> int:
        while True:
            self._next_id = self._next_id % 0xFFFF + 1
            if self._next_id not in self.inflight:
                return self._next_id

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

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
            case Puback() | Pingreq() | Unsubscribe():
                pass
            case Subscribe():
                check_subscribe(packet, self.version)
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
        self.goodbye_reason: int = packet.reason
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
