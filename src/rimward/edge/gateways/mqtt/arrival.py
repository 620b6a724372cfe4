"""A message that a device has published, from the door to its acknowledgement.

Answers leave in the order in which the messages came [MQTT-4.6.0-2]: each connection keeps its arrivals in a
queue, and releases what is ready from the head. A message goes to subscribers when its functions have taken
it, and the disk where it is kept; never when it is refused.
"""

from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Entry, Message, Refusal, Reply, Sender, Ticket
from rimward.edge.gateways.mqtt.events import outgoing_event
from rimward.edge.gateways.mqtt.identifying import may_reply_to, publish_refusal
from rimward.edge.gateways.mqtt.refusals import is_buried, may_succeed_later, puback_reason
from rimward.events.cloudevents import is_binary
from rimward.protocols.mqtt import Properties, Publish, Reason, ServerSession
from rimward.protocols.mqtt.outgoing import Outgoing, message

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.broker import Kept, Recipients
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.gate import Gate
    from rimward.edge.gateways.mqtt.routes import Route


class Arrival:
    """One message that could not be answered on the spot."""

    __slots__ = (
        "_before",
        "_kept",
        "_recipients",
        "_retained",
        "connection",
        "outgoing",
        "packet",
        "place",
        "ready",
        "refusal",
        "reply",
        "route",
    )

    def __init__(self, connection: "Connection", packet: Publish, route: "Route", now: float) -> None:
        self.connection: Connection = connection
        self.packet: Publish = packet
        self.route: Route = route
        self.ready = False
        self.refusal: Refusal | None = None
        self.reply: Ticket | None = None  # the one that has the functions' reply
        self.outgoing: Outgoing | None = None  # None: it goes on as it came, without properties
        self.place: int = 0  # in the order of all that is on disk before its answer; 0: this one is not
        self._retained = False
        self._before: Outgoing | None = None  # what was retained
        self._recipients: Recipients | None = None  # whom it goes to, where that was settled before the disk
        self._kept: list[Kept] = []  # those of them whose sessions outlive their connections
        origin, qos = connection.subscriber, packet.qos
        to_keep = qos > 0 and route.may_keep
        if packet.retain or packet.properties is not None or qos == 2 or not route.is_plain:
            self.outgoing = outgoing_of(packet, route, now)
        if packet.retain or to_keep or (qos == 2 and packet.packet_id and origin is not None and origin.kept):
            self.place = connection.broker.store.next_place()

    def no_room(self) -> Refusal | None:
        """Tell why it can't be retained, if it is to be."""
        if not self.packet.retain or self.outgoing is None:
            return None
        return self.connection.broker.no_room(self.route.topic, self.outgoing)

    def commits(self, reply: Reply | None, refusal: Refusal | None) -> list[Entry]:  # noqa: ARG002 (the reply goes to a topic)
        """Return what is on disk with what the functions did [GUARANTEES 1]."""
        broker, packet, outgoing = self.connection.broker, self.packet, self.outgoing
        entries: list[Entry] = []
        origin = self.connection.subscriber
        if refusal is None and outgoing is not None:
            if packet.retain:
                self._before = broker.retained(self.route.topic)
                retained = broker.retain(self.route.topic, outgoing)
                self._retained = retained is not None
                entries += [retained] if retained is not None else []
            if packet.qos and self.route.may_keep:
                self._recipients = broker.recipients(self.route)
                self._kept = broker.reserve(self._recipients, outgoing, origin, self.place)
                entries += [broker.store.entry(flight, to.sender.id) for to, flight in self._kept]
        if packet.qos == 2 and packet.packet_id and origin is not None and origin.kept and not origin.ended:
            version = self.connection.session.version
            reason = 0 if refusal is None or version != 5 else puback_reason(refusal)
            entries.append(broker.store.taken(packet.packet_id, origin.sender.id, reason))
        return entries

    def answered(self, ticket: Ticket) -> None:
        """Take the door's answer."""
        self.refusal = ticket.refusal
        self.reply = ticket
        if ticket.refusal is not None:
            self._take_back()
        self.go_on()

    def go_on(self) -> None:
        """Let it go."""
        self.ready: bool = True
        self.connection.release()

    def _take_back(self) -> None:
        """Undo what the disk did not take."""
        if self._retained and self.outgoing is not None:
            self.connection.broker.unretain(self.route.topic, self.outgoing, self._before)
        for subscriber, flight in self._kept:
            subscriber.drop(flight)
        self._kept.clear()

    def finish(self, now: float) -> None:
        """Send it to subscribers and answer it, or say why not."""
        connection, packet, broker = self.connection, self.packet, self.connection.broker
        if self.refusal is not None:
            self._refuse(self.refusal)
            return
        if self.outgoing is None:
            broker.send(self.route, packet.payload, packet.qos, connection.subscriber)
        else:
            kept = self._kept if self._recipients is not None else None
            broker.send_outgoing(
                self.route, self.outgoing, now, connection.subscriber, kept=kept, recipients=self._recipients
            )
        if packet.packet_id:
            session = self._session()
            if packet.qos == 2:
                session.record(packet.packet_id)
            elif not session.closed:
                session.acknowledge(packet.packet_id)
        if self.reply is not None and self.reply.reply is not None:
            send_reply(connection, packet, self.reply.reply)

    def _session(self) -> ServerSession:
        """Return where the answer goes; at QoS 2 it follows the client to its next connection."""
        subscriber = self.connection.subscriber
        if self.packet.qos == 2 and subscriber is not None and isinstance(subscriber.session, ServerSession):
            if subscriber.connection is not None and subscriber.connection is not self.connection:
                subscriber.connection.wake()
            return subscriber.session
        return self.connection.session

    def _refuse(self, refusal: Refusal) -> None:
        packet_id, session = self.packet.packet_id, self._session()
        self.connection.count(f"refused_{refusal.kind}")
        if not packet_id:
            return
        later, text = may_succeed_later(refusal), refusal.detail
        if later and (session.version == 4 or session.closed):
            session.forget(packet_id)
            session.fail(Reason.QUOTA_EXCEEDED, text)  # without an answer: the client sends it again
        elif self.packet.qos == 2:
            reason = puback_reason(refusal)
            session.record(packet_id, reason, text)
            origin = self.connection.subscriber
            if self.place and origin is not None and packet_id not in session.taken:
                origin.store.forget_taken(packet_id, origin.sender.id)
        elif not session.closed:
            session.acknowledge(packet_id, puback_reason(refusal), text)


def hand_over(arrival: Arrival, gate: "Gate", read_at: int) -> Ticket | None:
    """Hand a message to the door; None means taken, with nothing to wait for.

    What is refused before and can never succeed is in the dead letters before it is answered.
    """
    connection, packet = arrival.connection, arrival.packet
    refusal = (
        refusal_of(packet, arrival.route)
        or publish_refusal(gate.access, connection.subscriber, packet.topic, connection.routes)
        or arrival.no_room()
    )
    if refusal is None:
        message = message_of(packet, connection.sender, read_at)
        if arrival.place:
            message.commits = arrival.commits
        return gate.door.message(message)
    ticket = Ticket()
    if not is_buried(refusal, connection.session.version, packet.qos):
        ticket.finish(refusal)
        return ticket
    kept = gate.on_dead(refusal.kind, refusal.detail, connection.sender, packet.topic, packet.payload)
    if kept.done or not packet.qos:
        ticket.finish(kept.refusal or refusal)
    else:
        kept.on_done = lambda kept: ticket.finish(kept.refusal or refusal)
    return ticket


def send_reply(connection: "Connection", packet: Publish, reply: Reply) -> None:
    """Publish a reply to the topic that the request names [5: 4.10]; headers are user properties."""
    broker, properties = connection.broker, packet.properties
    topic = properties.response_topic if properties is not None else None
    route = broker.route(topic) if topic is not None else None
    allowed = topic is not None and may_reply_to(connection.subscriber, topic)
    if properties is None or route is None or not allowed or route.problem or not route.has_listeners:
        connection.count("replies_dropped")
        return
    correlation, more = properties.correlation_data, tuple(reply.headers.items())
    if reply.event is not None:
        qos = packet.qos
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
    if route.shed:
        return Refusal("busy", "the node has too much to do, and refuses messages of this class")
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
