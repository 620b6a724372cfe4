"""A client's side of one connection, without I/O: bytes in, packets and bytes out.

The driver connects, feeds bytes, looks at the packets it gets, calls `tick` at `deadline` and sends
`data_to_send()`. What the server breaks never raises: it stands in `error`. Messages at QoS 1 that are not
acknowledged stay in `unacknowledged`, for the driver to publish again on its next connection.
"""

from rimward.protocols.mqtt import encoding
from rimward.protocols.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingresp,
    Properties,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
)
from rimward.protocols.mqtt.reasons import MqttError, Reason
from rimward.protocols.mqtt.stream import Decoder

MAX_PACKET_SIZE = 256 << 10  # bytes that a client takes from its server


class ClientSession(Decoder):
    """One connection to a server."""

    __slots__ = (
        "_answer_by",
        "_asked",
        "_keep_alive",
        "_last_sent",
        "_next_id",
        "_out",
        "_said_goodbye",
        "_timeout",
        "client_id",
        "closed",
        "connack",
        "connect",
        "maximum_qos",
        "peer_packet_size",
        "receive_maximum",
        "unacknowledged",
    )

    def __init__(self, connect: Connect, now: float, *, timeout: float = 10.0) -> None:
        """Queue the CONNECT. `timeout` is seconds that CONNACK and PINGRESP may take."""
        super().__init__(_announced_size(connect), version=connect.version)
        self.connect: Connect = connect
        self.client_id: str = connect.client_id  # or the one that the server assigned
        self.connack: Connack | None = None  # None until the server has answered
        self.closed: bool = False
        self.unacknowledged: dict[int, Publish] = {}  # sent at QoS 1, by packet id
        self.receive_maximum: int = 0xFFFF  # the server's
        self.maximum_qos: int = 2
        self.peer_packet_size: int = 0  # bytes that the server takes; 0 is no limit
        self._out: list[bytes] = [encoding.encode(connect, connect.version)]
        self._timeout = timeout
        self._keep_alive = float(connect.keep_alive)
        self._last_sent = now
        self._answer_by: float | None = now + timeout
        self._next_id = 0
        self._asked: set[int] = set()  # ids of SUBSCRIBE and UNSUBSCRIBE without their answer
        self._said_goodbye = False

    # -- in

    def receive_data(self, data: bytes) -> list[Packet]:
        """Return the packets that `data` completes, up to the first that breaks a rule."""
        packets = self.feed(data)
        for packet in packets:
            if type(packet) is Puback:
                self.unacknowledged.pop(packet.packet_id, None)
        if self.error is not None or self.ended:
            self.closed = True
        return packets

    @property
    def connected(self) -> bool:
        """Whether the server has accepted, and the connection stands."""
        return self.connack is not None and not self.connack.reason and not self.closed

    @property
    def can_publish(self) -> bool:
        """Whether one QoS 1 message more keeps to the server's Receive Maximum."""
        return self.connected and len(self.unacknowledged) < self.receive_maximum

    @property
    def deadline(self) -> float | None:
        """Monotonic seconds at which `tick` has something to do; None is never."""
        if self.closed:
            return None
        if self._answer_by is not None or not self._keep_alive:
            return self._answer_by
        return self._last_sent + self._keep_alive

    def tick(self, now: float) -> None:
        """Send the PINGREQ that is due, or give up on a server that does not answer."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return
        if self._answer_by is not None:
            self.fail(Reason.KEEP_ALIVE_TIMEOUT, f"the server did not answer within {self._timeout:g} s")
            return
        self._out.append(encoding.PINGREQ)
        self._last_sent = now
        self._answer_by = now + self._timeout

    def fail(self, reason: Reason, detail: str) -> None:
        """End the connection for a reason; the first one stands."""
        if not self.closed:
            self.error: MqttError | None = MqttError(reason, detail)
            self.closed = True

    # -- out

    def data_to_send(self, now: float) -> bytes:
        """Return what is to be sent, the goodbye last, and forget it."""
        if self.error is not None and not self._said_goodbye:
            self._said_goodbye = True
            if self.version == 5 and self.connack is not None:
                self._out.append(encoding.encode(Disconnect(_sayable(self.error.reason)), 5))
        if self._out:
            self._last_sent = now
        data = b"".join(self._out)
        self._out.clear()
        return data

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> int:
        """Queue a message and return its packet id, 0 at QoS 0.

        Raises:
            MqttError: the server does not take it, or takes no more for now.
        """
        if qos > min(1, self.maximum_qos):
            raise MqttError(Reason.QOS_NOT_SUPPORTED, f"QoS {qos}, the limit is {min(1, self.maximum_qos)}")
        if qos and len(self.unacknowledged) >= self.receive_maximum:
            raise MqttError(
                Reason.RECEIVE_MAXIMUM_EXCEEDED,
                f"{len(self.unacknowledged)} messages unacknowledged, the limit is {self.receive_maximum}",
            )
        packet = Publish(topic, payload, qos, retain, self._free_id() if qos else 0, properties=properties)
        self._send(packet)
        if qos:
            self.unacknowledged[packet.packet_id] = packet
        return packet.packet_id

    def publish_again(self, packet: Publish, *, resumed: bool = False) -> int:
        """Queue a QoS 1 message of an earlier connection, marked as a duplicate; return its packet id.

        In a session that is resumed it keeps the one that it had [4.4]; send those first.
        """
        packet_id = packet.packet_id if resumed else self._free_id()
        again = Publish(packet.topic, packet.payload, 1, packet.retain, packet_id, True, packet.properties)
        self._send(again)
        self.unacknowledged[packet_id] = again
        return packet_id

    def subscribe(self, *subscriptions: Subscription) -> int:
        """Queue a SUBSCRIBE and return its packet id."""
        packet_id = self._free_id()
        self._send(Subscribe(packet_id, subscriptions))
        self._asked.add(packet_id)
        return packet_id

    def unsubscribe(self, *filters: str) -> int:
        """Queue an UNSUBSCRIBE and return its packet id."""
        packet_id = self._free_id()
        self._send(Unsubscribe(packet_id, filters))
        self._asked.add(packet_id)
        return packet_id

    def acknowledge(self, packet_id: int) -> None:
        """Queue the PUBACK of a message that was taken."""
        self._out.append(encoding.puback(packet_id))

    def disconnect(self, reason: Reason = Reason.SUCCESS) -> None:
        """Queue the goodbye."""
        if not self.closed:
            self._out.append(encoding.encode(Disconnect(reason), self.version))
            self.closed = True

    # -- private

    def _send(self, packet: Packet) -> None:
        data = encoding.encode(packet, self.version)
        if self.peer_packet_size and len(data) > self.peer_packet_size:
            raise MqttError(
                Reason.PACKET_TOO_LARGE,
                f"a packet of {len(data)} bytes, the server takes {self.peer_packet_size}",
            )
        self._out.append(data)

    def _free_id(self) -> int:
        while True:
            self._next_id = self._next_id % 0xFFFF + 1
            if self._next_id not in self.unacknowledged and self._next_id not in self._asked:
                return self._next_id

    def _accept(self, packet: Packet) -> Packet:
        match packet:
            case Connack() if self.connack is None:
                self._accept_connack(packet)
            case _ if self.connack is None:
                raise MqttError(Reason.PROTOCOL_ERROR, "the server's first packet is not a CONNACK")
            case Publish():
                _check_publish(packet)
            case Suback() | Unsuback():
                self._asked.discard(packet.packet_id)
            case Pingresp():
                self._answer_by = None
            case Puback():
                pass
            case Disconnect() if self.version == 5:
                self.ended = True
            case _:
                raise MqttError(
                    Reason.PROTOCOL_ERROR, f"{type(packet).__name__.upper()} is not expected here"
                )
        return packet

    def _accept_connack(self, packet: Connack) -> None:
        self.connack = packet
        self._answer_by = None
        if packet.reason:
            self.ended: bool = True
            return
        self.open_lane()
        if (properties := packet.properties) is None:
            return
        self.receive_maximum = properties.receive_maximum or 0xFFFF
        self.peer_packet_size = properties.maximum_packet_size or 0
        self.client_id = properties.assigned_client_id or self.client_id
        if properties.maximum_qos is not None:
            self.maximum_qos = properties.maximum_qos
        if properties.server_keep_alive is not None:
            self._keep_alive = float(properties.server_keep_alive)


def _announced_size(connect: Connect) -> int:
    asked = connect.properties.maximum_packet_size if connect.properties is not None else None
    return asked or MAX_PACKET_SIZE


def _check_publish(packet: Publish) -> None:
    if packet.qos == 2:
        raise MqttError(Reason.QOS_NOT_SUPPORTED, "a message at QoS 2 where none was asked for")
    if not packet.topic or (packet.properties is not None and packet.properties.topic_alias is not None):
        raise MqttError(Reason.TOPIC_ALIAS_INVALID, "a topic alias where none was offered")


def _sayable(reason: Reason) -> Reason:
    """Return a reason that a client may give [5: 3.14.2.1]."""
    allowed = {0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95}
    return reason if reason in allowed else Reason.UNSPECIFIED_ERROR
