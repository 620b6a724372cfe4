"""A message that a device has published, from the door to its acknowledgement.

Answers leave in the order in which the messages came [MQTT-4.6.0-2]: each connection keeps its arrivals in a
queue, and releases what is ready from the head. A message goes to subscribers when its functions, and for a
retained one the disk, have taken it; never when it is refused.
"""

from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Message, Refusal, Reply, Sender, Ticket
from rimward.edge.gateways.mqtt.events import outgoing_event
from rimward.edge.gateways.mqtt.refusals import may_succeed_later, puback_reason
from rimward.events.cloudevents import is_binary
from rimward.protocols.mqtt import Properties, Publish
from rimward.protocols.mqtt.outgoing import Outgoing, message

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.routes import Route


class Arrival:
    """One message that could not be answered on the spot."""

    __slots__ = ("_before", "connection", "outgoing", "packet", "ready", "refusal", "reply", "route")

    def __init__(self, connection: "Connection", packet: Publish, route: "Route", now: float) -> None:
        self.connection: Connection = connection
        self.packet: Publish = packet
        self.route: Route = route
        self.ready = False
        self.refusal: Refusal | None = None
        self.reply: Ticket | None = None  # the one that has the functions' reply
        self.outgoing: Outgoing | None = None  # None: it goes on as it came, without properties
        self._before: Outgoing | None = None
        if packet.retain or packet.properties is not None or not route.is_plain:
            self.outgoing = outgoing_of(packet, route, now)

    def answered(self, ticket: Ticket) -> None:
        """Take the door's answer."""
        self.refusal = ticket.refusal
        self.reply = ticket
        self.go_on()

    def go_on(self) -> None:
        """Keep a message that is taken and retained, then let it go."""
        if self.refusal is None and self.packet.retain and self.outgoing is not None:
            broker = self.connection.broker
            self._before = broker.retained(self.route.topic)
            stored = broker.retain(self.route.topic, self.outgoing)
            if stored is not None:
                if not stored.done:
                    stored.on_done = self._stored
                    return
                self.refusal = stored.refusal
        self.ready = True
        self.connection.release()

    def _stored(self, ticket: Ticket) -> None:
        self.refusal = ticket.refusal
        if ticket.refusal is not None and self.outgoing is not None:
            self.connection.broker.unretain(self.route.topic, self.outgoing, self._before)
        self.ready: bool = True
        self.connection.release()

    def finish(self, now: float) -> None:
        """Send it to subscribers and answer it, or say why not."""
        connection, packet = self.connection, self.packet
        if self.refusal is not None:
            self._refuse(self.refusal)
            return
        if self.outgoing is None:
            connection.broker.send(self.route, packet.payload, packet.qos, connection.subscriber)
        else:
            connection.broker.send_outgoing(self.route, self.outgoing, now, connection.subscriber)
        if packet.packet_id and not connection.session.closed:
            connection.session.acknowledge(packet.packet_id)
        if self.reply is not None and self.reply.reply is not None:
            send_reply(connection, packet, self.reply.reply)

    def _refuse(self, refusal: Refusal) -> None:
        session, packet_id = self.connection.session, self.packet.packet_id
        self.connection.count(f"refused_{refusal.kind}")
        if not packet_id or session.closed:
            return
        if session.version == 4 and may_succeed_later(refusal):
            self.connection.drop_unanswered(refusal.detail)
        else:
            session.acknowledge(packet_id, puback_reason(refusal), refusal.detail)


def send_reply(connection: "Connection", packet: Publish, reply: Reply) -> None:
    """Publish a reply to the topic that the request names [5: 4.10]; headers are user properties."""
    broker, properties = connection.broker, packet.properties
    topic = properties.response_topic if properties is not None else None
    route = broker.route(topic) if topic is not None else None
    if properties is None or route is None or route.problem is not None or not route.has_listeners:
        connection.count("replies_dropped")
        return
    correlation, more = properties.correlation_data, tuple(reply.headers.items())
    if reply.event is not None:
        qos = min(packet.qos, 1)
        outgoing = outgoing_event(
            route.head, reply.event, qos, retain=False, correlation=correlation, more=more
        )
    else:
        answer = Properties(content_type=reply.content_type, correlation_data=correlation, user=more or None)
        outgoing = message(route.topic, reply.body, packet.qos, retain=False, properties=answer)
    broker.send_outgoing(route, outgoing, 0.0)


def outgoing_of(packet: Publish, route: "Route", now: float) -> Outgoing:
    """Return a message as its subscribers get it."""
    outgoing = Outgoing(
        route.head, packet.payload, packet.qos, retain=packet.retain, properties=packet.properties
    )
    if packet.properties is not None and packet.properties.message_expiry is not None:
        outgoing.expires_at = now + packet.properties.message_expiry
    return outgoing


def message_of(packet: Publish, sender: Sender, read_at: int) -> Message:
    """Return a message as functions get it."""
    message = Message(packet.topic, packet.payload, packet.qos, sender, read_at)
    properties = packet.properties
    if properties is not None:
        message.content_type = properties.content_type
        message.response_topic = properties.response_topic
        message.correlation = properties.correlation_data
        message.traceparent = _traceparent(properties)
        if properties.user is not None and is_binary(properties.user):
            message.attributes = properties.user
            message.content_type = message.content_type or "application/json"  # what an event's data are
    return message


def _traceparent(properties: Properties) -> str | None:
    for name, value in properties.user or ():
        if name == "traceparent":
            return value
    return None


def refusal_of(packet: Publish, route: "Route") -> Refusal | None:
    """Return why a message is refused before any function sees it."""
    if route.problem is not None:
        return Refusal("topic", route.problem)
    detail = _payload_problem(packet)
    return Refusal("payload", detail) if detail is not None else None


def _payload_problem(packet: Publish) -> str | None:
    """Tell where a payload that is declared as UTF-8 is not [5: 3.3.2.3.2]."""
    if packet.properties is None or not packet.properties.payload_format:
        return None
    try:
        packet.payload.decode()
    except UnicodeDecodeError as error:
        return f"the payload is declared as UTF-8 and is not, at byte {error.start}"
    return None
