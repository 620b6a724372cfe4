"""One device's connection: the socket on one side, its session, the door and the broker on the other.

All packets of a read are answered in one pass, and what the reads of one turn of the loop put out, to this
device and to others, is written once for each of them when the turn ends (docs/adr/0013).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Sender, Ticket
from rimward.edge.gateways.mqtt.answering import OverRate, answer, confirm, is_repeated
from rimward.edge.gateways.mqtt.arrival import Arrival, hand_over
from rimward.edge.gateways.mqtt.authenticating import Exchange
from rimward.edge.gateways.mqtt.broker import Broker
from rimward.edge.gateways.mqtt.gate import Gate
from rimward.edge.gateways.mqtt.greeting import Greeting
from rimward.edge.gateways.mqtt.identifying import NO_ROUTES, KnownRoutes, routes_of
from rimward.edge.gateways.mqtt.parked import Parked, arrive_behind
from rimward.edge.gateways.mqtt.parting import half_close, said_goodbye
from rimward.edge.gateways.mqtt.routes import Route
from rimward.edge.gateways.mqtt.subscriber import Subscriber
from rimward.edge.gateways.peers import Peer, peer_of
from rimward.observe import Logger, get_logger
from rimward.protocols.mqtt import Packet, Publish, Reason, ServerSession, Will
from rimward.protocols.mqtt.stream import PlainPublish, Taken, packet_of

log: Logger = get_logger("rimward.mqtt")

TURN_BYTES = 64 << 10  # read in one turn of the loop before output is written in the middle of it


class Connection(asyncio.Protocol):
    """One device's connection."""

    __slots__ = (
        "_clock",
        "_deaf",
        "_gate",
        "_greeting",
        "_heard_at",
        "_shut",
        "_transport",
        "_writable",
        "arrivals",
        "broker",
        "check_at",
        "cut",
        "exchange",
        "leaving",
        "routes",
        "sender",
        "session",
        "subscriber",
    )

    def __init__(self, gate: Gate) -> None:
        now = gate.clock() * 1e-9
        session = ServerSession(now, gate.limits, topics=gate.topics, counters=gate.counters)
        self.session: ServerSession = session
        self.cut: Callable[[bytes], list[Taken]] = session.cut  # or what holds it to a rate
        self.sender: Sender = Sender("", "mqtt3")
        self.broker: Broker = gate.broker
        self.arrivals: deque[Arrival | Parked] | None = None  # in the order in which they are answered
        self.subscriber: Subscriber | None = None  # None until the client has been let in
        self.routes: KnownRoutes = NO_ROUTES  # to which it may publish without a further question
        self.leaving = False  # the goodbye is out; what comes is not read
        self.check_at: int = 0
        self._clock = gate.clock
        self._heard_at = 0  # monotonic ns at which the last whole packet was read
        self.exchange: Exchange | None = None  # of a re-authentication
        self._gate = gate
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self._deaf = False  # reading is paused
        self._shut = True  # nothing is taken the short way: the client is not in yet, or leaves
        self._greeting = Greeting(self, gate)

    # -- events of the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the wait for CONNECT."""
        if TYPE_CHECKING:  # uvloop's transports are of no asyncio class
            assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._gate.opened(self):
            self.leaving = self._shut = True
            transport.abort()
        elif (deadline := self.session.deadline) is not None:
            self._gate.watch(self, deadline)

    def data_received(self, data: bytes) -> None:  # noqa: C901, PLR0912 (flat: calls cost more than steps, docs/adr/0012)
        """Answer every packet that the bytes complete."""
        if self._shut:
            self._greet(data)
            return
        gate, broker, session = self._gate, self.broker, self.session
        read_at = self._clock()
        gate.reading = session.dirty = True  # its output is looked at when the read is over
        try:
            packets = self.cut(data)
            if packets:
                self._heard_at = read_at
                gate.packets_in += len(packets)
            for packet in packets:
                if type(packet) is not tuple:
                    if type(packet) is not int or not confirm(self, packet):
                        self.answer_in_order(packet_of(packet), read_at)
                elif (route := self.routes.get(packet[0])) is None:
                    self.answer_in_order(packet_of(packet), read_at)
                elif self.arrivals:
                    arrive_behind(self, gate, packet, route, read_at)
                else:
                    topic, payload, qos, identity = packet
                    ticket = gate.door.plain(topic, payload, qos, self.sender, read_at)
                    if ticket is not None:
                        self._arrive_later(packet, route, ticket)
                    else:
                        if qos:
                            session.acknowledge_plain(identity)
                        if route.deliveries:
                            broker.send(route, payload, qos, self.subscriber)
                if session.closed:
                    break
        except Exception as error:  # noqa: BLE001 (the edge of a connection: one broken message ends one connection)
            self.broken(error)
        gate.reading = False
        if session.out or session.over:
            broker.dirty.append(self)
        else:
            session.dirty = False
        gate.unwritten += len(data)
        if gate.unwritten > TURN_BYTES:
            gate.flush()
        elif broker.dirty:
            gate.flush_soon()

    def pause_writing(self) -> None:
        """Keep output: the peer reads too slowly."""
        self._writable = False
        self.count("slow_readers")

    def resume_writing(self) -> None:
        """Write what was kept."""
        self._writable = True
        self.write()
        if self.subscriber is not None:
            self.broker.replays.go_on(self.subscriber, self._clock() * 1e-9)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why it was lost changes nothing)
        """End the session; its will is published unless it said goodbye."""
        self.leave()
        self._transport = None
        self._gate.lost(self)
        self._gate.flush_soon()

    # -- what others ask for

    def write(self) -> None:
        """Write the session's output in one piece."""
        session = self.session
        session.dirty = False
        if session.over:
            self.leave()
            return
        out = session.out
        if out and self._writable and (transport := self._transport) is not None:
            packets = len(out)
            self._gate.packets_out += packets
            transport.write(out[0] if packets == 1 else b"".join(out))
            out.clear()
            session.out_size = 0

    def leave(self, *, with_will: bool = True) -> None:
        """Say goodbye, give up the subscriptions and wait for the peer to hang up."""
        if self.leaving:
            return
        self.leaving: bool = True
        self._shut = True
        session = self.session
        if self._greeting is not None:
            self._greeting.cancel()
        session.close()
        if session.error is not None:
            self.count(f"closed_{session.error.reason.name.lower()}")
            self._bury(session.error.detail, session.error.packet)
        if self.subscriber is not None:
            will = "withdrawn" if said_goodbye(session) else "sent" if with_will else "held"
            self._gate.sessions.left(self.subscriber, self, will=will)
        self._hang_up()

    def check(self, now: float) -> None:
        """Look at the connection's deadline, which may have moved."""
        session = self.session
        if self.leaving:
            self.abort()
            return
        if self._greeting is not None and self._greeting.asks:
            self._greeting.check(now)
            return
        # it can't be heard while it is not read
        session.last_packet = now if self._deaf else max(session.last_packet, self._heard_at * 1e-9)
        if session.is_late(now):
            self.leave()
        elif (deadline := session.deadline) is not None:
            self._gate.watch(self, deadline)

    def abort(self) -> None:
        """Cut the connection off."""
        if self._transport is not None:
            self._transport.abort()

    def release(self) -> None:
        """Finish the arrivals that are ready, in order."""
        arrivals = self.arrivals
        if not arrivals or not arrivals[0].ready:
            return
        now = self._gate.clock() * 1e-9
        while arrivals and arrivals[0].ready:
            arrivals.popleft().finish(now)
        if self._deaf and len(arrivals) <= self._gate.limits.receive_maximum // 2:
            self.listen(again=True)
        self.wake()

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock() * 1e-9

    def wake(self) -> None:
        """Note that there is output to write, and write it when this turn of the loop is over."""
        self.mark()
        self._gate.flush_soon()

    def mark(self) -> None:
        """Note that there is output to write."""
        if not self.session.dirty:
            self.session.dirty = True
            self.broker.dirty.append(self)

    def drop_unanswered(self, detail: str) -> None:
        """Close without an answer, so that an MQTT 3.1.1 client sends its message again."""
        self.session.fail(Reason.QUOTA_EXCEEDED, detail)

    def count(self, name: str) -> None:
        """Count what happened."""
        counters = self._gate.counters
        counters[name] = counters.get(name, 0) + 1

    # -- messages

    def broken(self, error: Exception) -> None:
        """End a connection whose message could not be handled."""
        self.count("internal_errors")
        log.error("a message could not be handled", error=type(error).__name__)
        self.session.fail(Reason.IMPLEMENTATION_SPECIFIC_ERROR, "the node failed")

    def _arrive_later(self, plain: PlainPublish, route: Route, ticket: Ticket) -> None:
        """Take a message that is a topic and a payload, and whose answer is not ready."""
        if not plain[2] or self.session.hold(int.from_bytes(plain[3])):
            self.wait(Parked(self, plain, route), ticket)

    def arrive_in_order(self, packet: Publish, read_at: int) -> None:
        """Take a message that waits for others, or has more to it than a known topic and a payload."""
        if self.hold(packet):
            self.take(packet, self.broker.route(packet.topic), read_at)

    def take(self, packet: Publish, route: Route, read_at: int) -> None:
        """Hand a message over, and keep its place among those that wait for their answer."""
        arrival = Arrival(self, packet, route, read_at * 1e-9)
        self.wait(arrival, hand_over(arrival, self._gate, read_at))

    def hold(self, packet: Publish) -> bool:
        """Take on a message's answer; False where the session refuses, or has taken on the same before."""
        if not packet.qos:
            return True
        session = self.session
        if packet.dup and session.version == 4 and packet.packet_id in session.held:
            return False  # an impatient resend: the first one's answer serves both
        if packet.qos == 2 and is_repeated(self, packet):
            return False
        return session.hold(packet.packet_id, packet.qos)

    def wait(self, arrival: Arrival | Parked, ticket: Ticket | None) -> None:
        """Keep a message's place until it is answered."""
        if self.arrivals is None:
            self.arrivals = deque()
        self.arrivals.append(arrival)
        if len(self.arrivals) >= self._gate.limits.receive_maximum and not self._deaf:
            self.listen(again=False)
        if ticket is None:
            arrival.go_on()
        elif ticket.done:
            arrival.answered(ticket)
        else:
            ticket.on_done = arrival.answered

    def listen(self, *, again: bool) -> None:
        """Read no more while too many messages wait for their answer, or read again."""
        self._deaf = not again
        if self._transport is None or self._transport.is_closing():
            return
        if again:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    @classmethod
    def gone(cls, gate: Gate, subscriber: Subscriber) -> "Connection":
        """Return a connection that is over, for what is still to be sent in its client's name."""
        connection = cls(gate)
        connection.subscriber, connection.sender = subscriber, subscriber.sender
        connection.leaving = True
        connection.session.close()
        return connection

    def publish_will(self, will: Will) -> None:
        """Hand over what a client wanted to be published when it goes without a word."""
        packet = Publish(will.topic, will.payload, will.qos, will.retain, 0, False, will.properties)
        self.take(packet, self.broker.route(will.topic), self._gate.clock())

    def _greet(self, data: bytes) -> None:
        """Take what comes until the client is in; what comes from one that leaves is not read."""
        greeting = self._greeting
        if self.leaving or greeting is None:
            return
        gate, session = self._gate, self.session
        read_at = self._clock()
        gate.reading = True
        session.dirty = True
        try:
            packets = session.feed(data)
            if packets:
                self._heard_at = read_at
                gate.packets_in += len(packets)
            greeting.receive(packets, read_at)
        except Exception as error:  # noqa: BLE001 (as for all reads)
            self.broken(error)
        gate.reading = session.dirty = False
        gate.unwritten += len(data)
        self.wake()

    def answer_in_order(self, packet: Packet, read_at: int) -> None:
        """Answer a packet that has waited for the client to be let in."""
        if isinstance(packet, Publish) and not isinstance(packet, OverRate):
            self.arrive_in_order(packet, read_at)
        else:
            answer(self, self._gate, packet, read_at)

    def heard(self) -> None:
        """Let the keep-alive run: the client is in."""
        session = self.session
        session.last_packet = self._heard_at * 1e-9
        if (deadline := session.deadline) is not None:
            self._gate.watch(self, deadline)

    def greeted(self) -> None:
        """Take what comes the short way from now on."""
        self._greeting: Greeting | None = None
        self._shut: bool = self.leaving

    def forget_allowed(self) -> None:
        """Ask anew what the client's identity may publish to."""
        if self.subscriber is not None:
            self.routes = routes_of(self.subscriber.identity, self.broker)

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        return peer_of(self._transport)

    # -- the end

    def _bury(self, detail: str, packet: bytes) -> None:
        """Keep a message that could not be read, as far as it came."""
        if packet and packet[0] >> 4 == 3 and self.session.accepted:
            self.count("undecodable")
            self._gate.on_dead("undecodable", detail, self.sender, "", packet)

    def _hang_up(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if not self._writable:  # a reader too slow for its messages gets the goodbye alone
            self.session.out.clear()
        self._gate.packets_out += len(self.session.out)
        if data := self.session.data_to_send():
            transport.write(data)
        if self._deaf:
            self.listen(again=True)  # else the peer's end is not seen
        if self.session.error is None:
            transport.close()
        else:
            half_close(transport)  # a full close with bytes unread would reset the goodbye away
        self._gate.watch(self, self._gate.clock() * 1e-9 + self._gate.config.linger)
