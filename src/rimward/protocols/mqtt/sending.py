"""A server's messages on their way to one client: its window, its packet ids, and what waits for room."""

from collections import deque
from collections.abc import Callable

from rimward.protocols.mqtt import encoding
from rimward.protocols.mqtt.admission import SessionLimits
from rimward.protocols.mqtt.aliases import Aliases
from rimward.protocols.mqtt.flights import Flight, Flights
from rimward.protocols.mqtt.outgoing import NOTHING, Outgoing
from rimward.protocols.mqtt.packets import Packet, Puback, Pubcomp, Pubrec, Pubrel
from rimward.protocols.mqtt.reasons import MqttError, Reason
from rimward.protocols.mqtt.stream import Decoder

PIECE = 32 << 10  # bytes of output beyond which what waits goes on with the next acknowledgement

# What stands for a message in flight whose session ends with its connection: it is never sent again.
_NOTHING = Outgoing(b"", b"", 0, retain=False, encoded=NOTHING)
ONCE = Flight(_NOTHING, 1, retain=False)
TWICE = Flight(_NOTHING, 2, retain=False)
RELEASED = Flight(_NOTHING, 2, retain=False)
RELEASED.released = True


class Sending(Decoder):
    """The half of a session that sends. Receive Maximum counts QoS 1 and 2 together [5: 4.9]."""

    __slots__ = (
        "_flights",
        "_next_id",
        "_peer_packet_size",
        "_short",
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
        "settled",
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
        self.out_room: int = 0  # bytes up to which plain messages may be put there directly; see `send_plain`
        self.dirty: bool = False  # the driver knows that there is output
        self.inflight: dict[int, Flight] = {}  # what the client has not acknowledged, by our packet ids
        self.settled: list[Flight] = []  # what need not be on disk any more; the driver sees to it
        # messages beyond the client's window; most clients never need the queue, which is not small
        self._waiting: deque[Flight] | None = None
        self._waiting_size = 0  # bytes
        self._window, self._peer_packet_size = limits.max_inflight, 0  # bytes; 0 is no limit
        self._next_id = 0
        self._short: Aliases | None = None  # names for topics, where the client takes some
        self._flights: Flights | None = None  # where the session outlives its connection

    def fail(self, reason: Reason, detail: str) -> None:
        """End the session for a reason; the first one stands."""
        if not self.closed:
            self.error: MqttError | None = MqttError(reason, detail)
            self.close()

    def close(self) -> None:
        """Take nothing more; what is queued, and a goodbye if there is one, may still be sent."""
        self.closed = self.over = True
        self.out_room = 0

    # -- messages

    @property
    def has_window(self) -> bool:
        """Whether a message above QoS 0 would leave at once."""
        return not self._waiting and len(self.inflight) < self._window

    def deliver(self, message: Outgoing, qos: int, now: float, *, retain: bool) -> bool:
        """Send a message, or queue it where the client's window is full; False: dropped and counted.

        It ends with the connection; `take` is for what is to outlive it.
        """
        if self.closed:
            return False
        if not qos:
            return self.send_plain(message.plain(self.version, retain=retain, now=now))
        if self.has_window:
            return self._launch(Flight(message, qos, retain=retain), now)
        if self._waiting_size + message.size > self.limits.max_output:
            self.fail(Reason.QUOTA_EXCEEDED, f"more than {self.limits.max_output} bytes wait for PUBACKs")
            return False
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(Flight(message, qos, retain=retain))
        self._waiting_size += message.size
        return True

    def take(self, flight: Flight, now: float) -> None:
        """Send a message that the session keeps and has numbered, or queue it."""
        flights = self._flights
        assert flights is not None
        flights.waiting.append(flight)
        if not self.closed:
            self._send_waiting(now)

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
        if self._short is not None:
            data = self._short.apply(data, self._peer_packet_size)
            size = len(data)
        self.out.append(data)
        self.out_size += size
        return True

    def send_numbered(self, head: bytes, payload: bytes) -> bool:
        """Send a plain message at QoS 1 at once; False where it can't be, and `deliver` is to be asked.

        `head` is the topic behind its length. It ends with the connection.
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
        inflight[packet_id] = ONCE
        self.out.append(data)
        self.out_size = size
        return True

    def confirmed_plain(self, packet_id: int) -> bool:
        """Take a PUBACK that says success; False where `confirmed` is to be asked, for something waits."""
        if self._waiting or self._flights is not None or self.inflight.get(packet_id) is not ONCE:
            return False
        del self.inflight[packet_id]
        return True

    # -- what the client says to them

    def confirmed(self, packet: Puback, now: float) -> None:
        """Take a PUBACK of the client and send what waited for it."""
        packet_id = packet.packet_id
        flight = self.inflight.get(packet_id)
        if flight is None or flight.qos != 1:
            if self._flights is None or not self._confirmed_late(packet_id):
                self._count("unexpected_pubacks")
            return
        del self.inflight[packet_id]
        if flight.seq or self._flights is not None:
            self._settle(flight)
        if self._waiting:
            self._send_waiting(now)

    def received(self, packet: Pubrec, now: float) -> Flight | None:
        """Take a PUBREC; return the message that has to be released on disk before `release` is called."""
        packet_id = packet.packet_id
        flight = self.inflight.get(packet_id)
        if flight is None and self._flights is not None:
            flight = self._late(packet_id)
        if flight is None or flight.qos != 2:
            self._count("unexpected_pubrecs")
            reason = Reason.PACKET_IDENTIFIER_NOT_FOUND if self.version == 5 else 0
            self._send(encoding.encode(Pubrel(packet_id, reason), self.version))
        elif packet.reason >= 0x80 and not flight.released:  # the client refuses it: its flow ends [5: 4.3.3]
            del self.inflight[packet_id]
            self._settle(flight)
            self._count("refused_by_client")
            self._send_waiting(now)
        elif flight.seq and not flight.released:
            return flight
        else:
            self.release(packet_id)
        return None

    def release(self, packet_id: int) -> None:
        """Send PUBREL for a message that the client has taken."""
        flight = self.inflight.pop(packet_id, None)
        if flight is None:
            return
        if flight is TWICE:
            flight = RELEASED
        elif flight is not RELEASED:
            flight.released = True
        self.inflight[packet_id] = flight  # at the end: PUBRELs keep the order of PUBRECs [4.6]
        self._send(encoding.encode(Pubrel(packet_id), self.version))

    def completed(self, packet: Pubcomp, now: float) -> None:
        """Take a PUBCOMP and send what waited for it."""
        flight = self.inflight.get(packet.packet_id)
        if flight is None or not flight.released:
            self._count("unexpected_pubcomps")
            return
        del self.inflight[packet.packet_id]
        self._settle(flight)
        self._send_waiting(now)

    # -- from connection to connection

    def adopt(self, flights: Flights) -> None:
        """Keep messages there from now on; what is there already is sent by `resume`."""
        self._flights = flights
        self.inflight = flights.inflight
        self._waiting = flights.waiting

    def resume(self, now: float) -> None:
        """Send again what was not acknowledged on the connection before, in order [4.4, 4.6]."""
        for packet_id in self.inflight:  # all others are at the head of the queue
            self._send(encoding.encode(Pubrel(packet_id), self.version))
        self._send_waiting(now)

    def _confirmed_late(self, packet_id: int) -> bool:
        """Take a PUBACK for what was sent on the connection before and not yet again."""
        flight = self._late(packet_id)
        if flight is not None and flight.qos == 1:
            del self.inflight[packet_id]
            self._settle(flight)
            return True
        return False

    def _late(self, packet_id: int) -> Flight | None:
        """Return what was sent on the connection before, in flight again."""
        flights = self._flights
        flight = flights.numbered.get(packet_id) if flights is not None else None
        if flights is None or flight is None or not flight.sent or flight not in flights.waiting:
            return None
        flights.waiting.remove(flight)
        del flights.numbered[packet_id]
        self.inflight[packet_id] = flight
        return flight

    @property
    def queued(self) -> int:
        """How many messages wait for the client's window."""
        return len(self._waiting or ())

    @property
    def unfinished(self) -> list[Flight]:
        """Return the messages that the client has not acknowledged, in order; of plain ones stand-ins."""
        return [*self.inflight.values(), *(self._waiting or ())]

    def withhold(self, unwanted: Callable[[Outgoing], bool]) -> list[Flight]:
        """Take what the client is not to get out of the queue of a session that is not kept; return it."""
        waiting, gone = self._waiting or (), list[Flight]()
        if self._flights is None and waiting:
            gone = [flight for flight in waiting if unwanted(flight.message)]
            self._waiting = deque([flight for flight in waiting if not unwanted(flight.message)])
            self._waiting_size -= sum(flight.message.size for flight in gone)
        return gone

    # -- private

    def _settle(self, flight: Flight) -> None:
        if self._flights is not None:
            self._flights.size -= flight.message.size
        if flight.seq:
            self.settled.append(flight)

    def _send_waiting(self, now: float) -> None:
        """Send what the window has room for; while something is in flight, no more than a piece at a time."""
        waiting, inflight = self._waiting, self.inflight
        while waiting and len(inflight) < self._window and not self.closed:
            if self.out_size >= PIECE and inflight:
                break
            flight = waiting.popleft()
            if self._flights is None:
                self._waiting_size -= flight.message.size
            if flight.message.is_expired(now) and not flight.sent:
                self._count("expired")
                self._drop(flight)
            else:
                self._launch(flight, now)

    def _launch(self, flight: Flight, now: float) -> bool:
        message, flights = flight.message, self._flights
        packet_id = flight.packet_id or self._free_id()
        data = message.numbered(
            self.version, packet_id, flight.qos, retain=flight.retain, now=now, dup=flight.sent
        )
        if self._peer_packet_size and len(data) > self._peer_packet_size:
            self._count("dropped_too_large")
            self._drop(flight)
            return False
        if flights is None and self.out_size + len(data) > self.limits.max_output:
            self.fail(Reason.QUOTA_EXCEEDED, f"more than {self.limits.max_output} bytes wait to be read")
            return False
        if flights is None:
            flight.sent = True
            if not message.share:
                flight = ONCE if flight.qos == 1 else TWICE
            self.inflight[packet_id] = flight
        else:
            flights.numbered.pop(packet_id, None)
            flight.packet_id, flight.sent = packet_id, True
            self.inflight[packet_id] = flight
        if self._short is not None:
            data = self._short.apply(data, self._peer_packet_size)
        self._send(data)
        return True

    def _drop(self, flight: Flight) -> None:
        """Forget a message that is not sent."""
        if self._flights is not None and flight.packet_id:
            self._flights.drop(flight)
        if flight.seq:
            self.settled.append(flight)

    def _free_id(self) -> int:
        if self._flights is not None:
            raise AssertionError("a session that is kept numbers its messages first")
        while True:
            self._next_id = self._next_id % 0xFFFF + 1
            if self._next_id not in self.inflight:
                return self._next_id

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    def _send(self, data: bytes) -> None:
        self.out.append(data)
        self.out_size += len(data)
        if self.out_size > 2 * self.limits.max_output:
            self.fail(Reason.QUOTA_EXCEEDED, "answers are asked for and not read")

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
