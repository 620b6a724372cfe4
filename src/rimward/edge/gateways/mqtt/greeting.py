"""A connection until its client is in: CONNECT waits for who it is, and for its session on the disk.

What the client sends behind its CONNECT waits for that, at most one read: then reading is paused.
"""

from typing import TYPE_CHECKING

from rimward.edge.access import Credentials, Denial, Identity, Pending
from rimward.edge.gateways.mqtt.authenticating import Exchange, reason_of
from rimward.edge.gateways.mqtt.gate import Gate
from rimward.edge.gateways.mqtt.identifying import let_in
from rimward.edge.gateways.mqtt.reviewing import review
from rimward.edge.gateways.peers import NOBODY
from rimward.protocols.mqtt import Auth, Connect, Packet, Reason
from rimward.protocols.mqtt.authentication import data_of

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.sessions import Opening


class Greeting:
    """What comes behind a CONNECT waits for its answer, in order."""

    __slots__ = ("_backlog", "_connection", "_deadline", "_exchange", "_gate", "_pending", "waits")

    def __init__(self, connection: "Connection", gate: Gate) -> None:
        self.waits: bool = False  # for an answer of the access or the disk; nothing goes on meanwhile
        self._connection: Connection = connection
        self._gate = gate
        self._deadline = connection.session.last_packet + gate.config.connect_timeout  # monotonic seconds
        self._pending: Pending | None = None  # a password that is being hashed
        self._exchange: Exchange | None = None  # an enhanced authentication that is not at its end
        self._backlog: list[Packet] = []

    def receive(self, packets: list[Packet], read_at: int) -> None:
        """Answer packets, up to a CONNECT whose answer is not ready."""
        self._backlog += packets
        self._go_on(read_at)

    @property
    def asks(self) -> bool:
        """Whether it is not known yet who the client is, though it has sent CONNECT."""
        return self._pending is not None or self._exchange is not None

    def check(self, now: float) -> None:
        """End a connection that has waited for longer than it may take to CONNECT."""
        connection = self._connection
        if now >= self._deadline:
            connection.session.fail(Reason.SERVER_BUSY, "the credentials could not be checked in time")
            connection.leave()
        else:
            self._gate.watch(connection, self._deadline)

    def cancel(self) -> None:
        """Give up: the client has gone."""
        if self._pending is not None:
            self._pending.cancel()

    def _go_on(self, read_at: int) -> None:
        backlog, connection = self._backlog, self._connection
        while backlog and not self.waits and not connection.session.closed:
            packet = backlog.pop(0)
            if isinstance(packet, Connect):
                self._connect(packet)
            elif self._exchange is not None and isinstance(packet, Auth):
                self._step(self._exchange, data_of(packet))
            else:
                connection.answer_in_order(packet, read_at)
        if connection.session.accepted and not backlog:
            connection.greeted()

    def _go_on_late(self) -> None:
        """Go on in a turn of the loop that is not a read of this connection."""
        connection = self._connection
        try:
            if not self.waits:
                connection.listen(again=True)
                self._go_on(self._gate.clock())
        except Exception as error:  # noqa: BLE001 (as for all reads: one broken message ends one connection)
            connection.broken(error)
        connection.wake()

    def _wait(self) -> None:
        self.waits = True
        self._connection.listen(again=False)

    # -- who it is

    def _connect(self, packet: Connect) -> None:
        connection, gate = self._connection, self._gate
        if not gate.welcome(connection):
            return
        peer = NOBODY if gate.access.open else connection.peer  # asked of the kernel: three calls
        if connection.session.method is not None:
            self._exchange = Exchange(gate.access, peer, packet.client_id)
            self._step(self._exchange, data_of(packet))
            return
        credentials = Credentials(peer, packet.client_id, packet.username, packet.password)
        pending = gate.access.identify(credentials, self._identified)
        if pending is not None:
            self._pending = pending
            self._wait()

    def _step(self, exchange: Exchange, data: bytes) -> None:
        """Go on with an enhanced authentication."""
        session = self._connection.session
        found = exchange.step(data)
        if isinstance(found, bytes):
            session.challenge(found)
            return
        self._exchange = None
        if isinstance(found, Denial):
            self._gate.count("auth_failures")
            session.fail(reason_of(found), found.detail)
        else:
            session.proof = found.proof
            self._identified(found.identity)

    def _identified(self, answer: Identity | Denial) -> None:
        connection, gate, late = self._connection, self._gate, self._pending is not None
        session = connection.session
        self._pending, self.waits = None, False
        packet = session.connect
        if packet is None or connection.leaving:
            return
        identity = let_in(answer, packet.will, session, gate.access)
        if identity is None:
            gate.count("auth_failures")
        elif (sender := gate.admit(connection, packet, identity)) is not None:
            connection.sender = sender
            self._open(gate.sessions.open(connection, packet, sender, identity))
        if late:
            self._go_on_late()

    # -- its session

    def _open(self, opening: "Opening") -> None:
        self._connection.subscriber = opening.subscriber
        ticket = opening.ticket
        if ticket is None or ticket.done:
            self._let_in(opening)
            return
        self._wait()
        ticket.on_done = lambda _: self._let_in_late(opening)

    def _let_in_late(self, opening: "Opening") -> None:
        self.waits = False
        if not self._connection.leaving:
            self._let_in(opening)
            self._go_on_late()

    def _let_in(self, opening: "Opening") -> None:
        """Send CONNACK, and what the session has kept."""
        connection, (subscriber, present, ticket) = self._connection, opening
        session = connection.session
        if ticket is not None and ticket.refusal is not None:
            session.fail(Reason.SERVER_UNAVAILABLE, ticket.refusal.detail)
            return
        named = session.connect is not None and session.connect.client_id
        connection.forget_allowed()
        if present:
            review(subscriber, connection.broker, connection.now)
        session.accept("" if named else subscriber.sender.id, subscriber.flights, present=present)
        connection.heard()
        if not session.closed:
            subscriber.session = session
            if present:
                session.resume(connection.now)
                subscriber.settle()
                connection.broker.replays.go_on(subscriber, connection.now)
