"""A server's messages on their way to one client: its window, its packet ids, and what waits for room."""

from collections import deque

from rimward.protocols.mqtt import encoding
from rimward.protocols.mqtt.admission import SessionLimits
from rimward.protocols.mqtt.outgoing import Outgoing
from rimward.protocols.mqtt.packets import Puback
from rimward.protocols.mqtt.reasons import MqttError, Reason
from rimward.protocols.mqtt.stream import Decoder


class Sending(Decoder):
    """The half of a session that sends."""

    __slots__ = (
        "_next_id",
        "_peer_packet_size",
        "_waiting",
        "_waiting_size",
        "_window",
        "closed",
        "counters",
        "dirty",
        "inflight",
        "limits",
        "out",
        "out_room",
        "out_size",
    )

    def __init__(
        self, limits: SessionLimits, *, topics: dict[bytes, str] | None, counters: dict[str, int] | None
    ) -> None:
        super().__init__(limits.max_packet_size, topics=topics)
        self.limits: SessionLimits = limits
        self.counters: dict[str, int] = {} if counters is None else counters
        self.closed: bool = (
            False  # nothing more is sent but the goodbye; packets not yet answered are dropped
        )
        self.out: list[bytes] = []  # packets to send
        self.out_size: int = 0  # bytes in it
        self.out_room = 0  # bytes up to which plain messages may be put there directly; see `send_plain`
        self.dirty = False  # the driver knows that there is output
        self.inflight: set[int] = set()  # our packet ids that the client has not acknowledged
        # QoS 1 messages beyond the client's window; most clients never need the queue, which is not small
        self._waiting: deque[tuple[Outgoing, bool]] | None = None
        self._waiting_size = 0  # bytes
        self._window, self._peer_packet_size = limits.max_inflight, 0  # bytes; 0 is no limit
        self._next_id = 0

    def fail(self, reason: Reason, detail: str) -> None:
        """End the session for a reason; the first one stands."""
        if not self.closed:
            self.error: MqttError | None = MqttError(reason, detail)
            self.close()

    def close(self) -> None:
        """Take nothing more; what is queued, and a goodbye if there is one, may still be sent."""
        self.closed = self.over = True
        self.out_room = 0

    @property
    def has_window(self) -> bool:
        """Whether a QoS 1 message would leave at once."""
        return not self._waiting and len(self.inflight) < self._window

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
        if self._waiting or len(inflight) >= self._window or packet_id > 0xFFFF or packet_id in inflight:
            return False
        identity = packet_id.to_bytes(2, "big")
        if self.version == 5:
            identity += b"\0"  # no properties
        data = encoding.plain_publish_1(head, identity, payload)
        size = self.out_size + len(data)
        if size > self.out_room:
            return False
        self._next_id = packet_id
        inflight.add(packet_id)
        self.out.append(data)
        self.out_size = size
        return True

    def confirmed_plain(self, packet_id: int) -> bool:
        """Take a PUBACK that says success; False where `confirmed` is to be asked, for something waits."""
        if self._waiting or packet_id not in self.inflight:
            return False
        self.inflight.remove(packet_id)
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
