"""A connection until its client is in: CONNECT is answered when the disk has its session."""

from typing import TYPE_CHECKING

from rimward.edge.access import Denial, Identity, Pending
from rimward.edge.gateways.mqtt.gate import Gate
from rimward.edge.gateways.mqtt.identifying import credentials_of, let_in, routes_of
from rimward.protocols.mqtt import Connect, Packet, Reason

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.sessions import Opening


class Greeting:
    """What comes behind a CONNECT waits for its answer, in order."""

    __slots__ = ("_asked", "_backlog", "_connection", "_deadline", "_gate", "pending")

    def __init__(self, connection: "Connection", gate: Gate) -> None:
        self.pending = False  # the answer to CONNECT is not ready
        self._connection: Connection = connection
        self._gate = gate
        self._backlog: list[Packet] = []
        self._asked: Pending | None = None  # who the client is, which is not known yet
        self._deadline = 0.0  # monotonic seconds at which that has to be known

    @property
    def asks(self) -> bool:
        """Whether it is not known yet who the client is."""
        return self._asked is not None

    def cancel(self) -> None:
        """Ask no more who the client is: it leaves."""
        if self._asked is not None:
            self._asked.cancel()

    def check(self, now: float) -> None:
        """End a connection that has waited to be known for as long as it may take to CONNECT."""
        connection = self._connection
        if now >= self._deadline:
            connection.session.fail(Reason.SERVER_BUSY, "the credentials could not be checked in time")
            connection.leave()
        else:
            self._gate.watch(connection, self._deadline)

    def receive(self, packets: list[Packet], read_at: int) -> None:
        """Answer packets, up to a CONNECT whose answer is not ready."""
        self._backlog += packets
        self._go_on(read_at)

    def _go_on(self, read_at: int) -> None:
        backlog, connection = self._backlog, self._connection
        while backlog and not self.pending and not connection.session.closed:
            packet = backlog.pop(0)
            if isinstance(packet, Connect):
                self._connect(packet)
            else:
                connection.answer_in_order(packet, read_at)
        if connection.session.accepted and not backlog:
            connection.greeted()

    def _connect(self, packet: Connect) -> None:
        """Ask who the client is; reading is paused until that is known."""
        connection, gate = self._connection, self._gate
        asked = gate.access.identify(
            credentials_of(packet, connection._transport), lambda answer: self._identified(packet, answer)
        )
        if asked is not None:
            self._asked, self.pending = asked, True
            self._deadline = connection.session.last_packet + gate.config.connect_timeout
            connection.listen(again=False)

    def _identified(self, packet: Connect, answer: Identity | Denial) -> None:
        connection, gate = self._connection, self._gate
        late, self._asked = self.asks, None
        self.pending: bool = False
        identity = let_in(answer, packet.will, connection.session, gate.access)
        if identity is None:
            gate.count("auth_failures")
        else:
            self._open(packet, identity)
        if late and not self.pending:
            connection.listen(again=True)
            self._go_on(gate.clock())
            connection.wake()

    def _open(self, packet: Connect, identity: Identity) -> None:
        connection = self._connection
        sender = self._gate.admit(connection, packet, identity)
        if sender is None:
            return
        connection.sender = sender
        opening = self._gate.sessions.open(connection, packet, sender, identity)
        connection.subscriber = opening.subscriber
        connection.routes = routes_of(identity, connection.broker)
        ticket = opening.ticket
        if ticket is None or ticket.done:
            self._let_in(opening)
            return
        self.pending = True
        connection.listen(again=False)
        ticket.on_done = lambda _: self._let_in_late(opening)

    def _let_in_late(self, opening: "Opening") -> None:
        connection = self._connection
        self.pending = False
        if connection.leaving:
            return
        self._let_in(opening)
        connection.listen(again=True)
        self._go_on(self._gate.clock())
        connection.wake()

    def _let_in(self, opening: "Opening") -> None:
        """Send CONNACK, and what the session has kept."""
        connection, (subscriber, present, ticket) = self._connection, opening
        session = connection.session
        if ticket is not None and ticket.refusal is not None:
            session.fail(Reason.SERVER_UNAVAILABLE, ticket.refusal.detail)
            return
        named = session.connect is not None and session.connect.client_id
        session.accept("" if named else subscriber.sender.id, subscriber.flights, present=present)
        connection.heard()
        if not session.closed:
            subscriber.session = session
            if present:
                session.resume(connection.now)
                subscriber.settle()
                connection.broker.replays.go_on(subscriber, connection.now)
