"""A message that is a topic and a payload, whose answer waits for the disk or for messages before it.

`Arrival` keeps the place of all others: this is the lane of those whose functions forward facts.
"""

from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Refusal, Ticket
from rimward.edge.gateways.mqtt.arrival import Arrival
from rimward.protocols.mqtt import Publish
from rimward.protocols.mqtt.stream import PlainPublish, packet_of

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.gate import Gate
    from rimward.edge.gateways.mqtt.routes import Route


class Parked:
    """One such message; its route is a plain one."""

    __slots__ = ("_connection", "_packet", "_refusal", "_replied", "_route", "ready")

    def __init__(self, connection: "Connection", packet: PlainPublish, route: "Route") -> None:
        self._connection: Connection = connection
        self._packet: PlainPublish = packet
        self._route: Route = route
        self._refusal: Refusal | None = None
        self._replied: bool = False  # a function gave a reply, for which the message names no topic
        self.ready: bool = False

    def answered(self, ticket: Ticket) -> None:
        """Take the door's answer."""
        self._refusal = ticket.refusal
        self._replied = ticket.reply is not None
        self.go_on()

    def go_on(self) -> None:
        """Let it go, when it is its turn."""
        self.ready = True
        connection = self._connection
        if connection.arrivals and connection.arrivals[0] is self:
            connection.release()

    def finish(self, now: float) -> None:
        """Send it to subscribers and answer it, or say why not."""
        connection, (_, payload, qos, identity) = self._connection, self._packet
        if self._refusal is not None:
            packet = packet_of(self._packet)
            assert isinstance(packet, Publish)
            arrival = Arrival(connection, packet, self._route, now)
            arrival.refusal = self._refusal
            arrival.finish(now)
            return
        if self._route.deliveries:
            connection.broker.send(self._route, payload, qos, connection.subscriber)
        if qos:
            session = connection.session
            session.held.discard(int.from_bytes(identity))
            if not session.closed:
                session.acknowledge_plain(identity)
        if self._replied:
            connection.count("replies_dropped")


def arrive_behind(
    connection: "Connection", gate: "Gate", plain: PlainPublish, route: "Route", read_at: int
) -> None:
    """Take such a message that is answered behind others."""
    topic, payload, qos, identity = plain
    if not qos or connection.session.hold(int.from_bytes(identity)):
        ticket = gate.door.plain(topic, payload, qos, connection.sender, read_at)
        connection.wait(Parked(connection, plain, route), ticket)
