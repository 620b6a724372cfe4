"""A connection until its client is in: CONNECT is answered when the disk has its session."""

from typing import TYPE_CHECKING

from rimward.edge.gateways.mqtt.gate import Gate
from rimward.protocols.mqtt import Connect, Packet, Reason

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.sessions import Opening


class Greeting:
    """What comes behind a CONNECT waits for its answer, in order."""

    __slots__ = ("_backlog", "_connection", "_gate", "pending")

    def __init__(self, connection: "Connection", gate: Gate) -> None:
        self.pending: bool = False  # the answer to CONNECT is not ready
        self._connection: Connection = connection
        self._gate = gate
        self._backlog: list[Packet] = []

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
        connection = self._connection
        sender = self._gate.admit(connection, packet)
        if sender is None:
            return
        connection.sender = sender
        opening = self._gate.sessions.open(connection, packet, sender)
        connection.subscriber = opening.subscriber
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
