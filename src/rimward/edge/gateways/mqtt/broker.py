"""A node is a broker: who gets which message, and what is retained.

One message is encoded once per version, QoS and retain flag, and put into the output of each subscriber;
nothing is written here. Connections come and go; subscriptions belong to a `Subscriber`.
"""

from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Entry, Refusal, Retained
from rimward.edge.gateways.mqtt.identifying import may_receive, permitted
from rimward.edge.gateways.mqtt.replays import Replays
from rimward.edge.gateways.mqtt.routes import Route, Routes
from rimward.edge.gateways.mqtt.store import Store
from rimward.protocols.mqtt import Subscription, TopicTree
from rimward.protocols.mqtt.encoding import plain_publish
from rimward.protocols.mqtt.fields import string
from rimward.protocols.mqtt.outgoing import Outgoing
from rimward.protocols.mqtt.subscriptions import Delivery

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.config import MqttConfig
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.subscriber import Subscriber
    from rimward.protocols.mqtt.flights import Flight

BUSY = 32 << 10  # bytes that wait for a reader, beyond which a shared message goes to another member

if TYPE_CHECKING:
    Kept = tuple[Subscriber, Flight]  # who gets a message, and its way there
    Recipients = tuple[Delivery[Subscriber], ...]


class Broker:
    """Subscriptions, retained messages, and the way of a message to its subscribers."""

    def __init__(self, config: "MqttConfig", store: Store, counters: dict[str, int]) -> None:
        self.table: Routes = Routes(config, counters)
        self.routes: dict[str, Route] = self.table.plain
        self.dirty: list[Connection] = []  # those with output to write
        self.retained_count: int = 0
        self.retained_bytes: int = 0
        self._config = config
        self.store: Store = store
        self._counters = counters
        self._retained: TopicTree[Outgoing] = TopicTree()
        self.replays: Replays = Replays(self._retained)

    # -- subscriptions

    def subscribe(self, subscriber: "Subscriber", wish: Subscription) -> bool:
        """Add or replace a subscription; return whether it is new."""
        new = self.table.add(subscriber, wish)
        subscriber.filters[wish.filter] = wish
        return new

    def unsubscribe(self, subscriber: "Subscriber", topic_filter: str) -> bool:
        """Remove a subscription; return whether there was one."""
        if not self.table.remove(subscriber, topic_filter):
            return False
        subscriber.filters.pop(topic_filter, None)
        self.replays.drop(subscriber, topic_filter)
        return True

    def route(self, topic: str) -> Route:
        """Return what is known of a topic; what is not in `routes` is for `send_outgoing` alone."""
        return self.table.route(topic)

    def listeners(self, topic: str) -> "tuple[Delivery[Subscriber], ...]":
        """Return a topic's subscribers, without remembering them: for topics that come but once."""
        return permitted(self.table.match(topic).deliveries, topic)

    def recipients(self, route: Route) -> "tuple[Delivery[Subscriber], ...]":
        """Return who gets one message: every subscriber, and of each group the member whose turn it is."""
        if not route.groups:
            return route.deliveries
        picked = [group.pick(lambda one: _load(one, route.topic)) for group in route.groups]
        return route.deliveries + permitted(tuple([one for one in picked if one is not None]), route.topic)

    def hand_on(self, flights: "list[Flight]", now: float) -> "list[Entry]":
        """Give what a member of a group has not taken to others, for its session has ended [5: 4.8.2].

        Returns what keeps them. One at QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5].
        """
        entries: list[Entry] = []
        for flight in flights:
            message = flight.message
            group = self.table.group(message.share) if message.share else None
            if group is None or (flight.qos == 2 and flight.sent):
                continue
            topic = message.topic[2:].decode()
            found = group.pick(lambda one, topic=topic: _load(one, topic))
            for delivery in permitted((found,) if found is not None else (), topic):
                subscriber, qos = delivery.subscriber, min(message.qos, delivery.qos)
                copy = message.unmarked().marked(delivery.identifiers, message.share)
                self.count("shared_handed_on")
                if qos == 1 and subscriber.kept:
                    moved = subscriber.reserve(copy, qos, retain=False, place=self.store.next_place())
                    if moved is not None:
                        entries.append(self.store.entry(moved, subscriber.sender.id))
                        subscriber.take(moved, now)
                else:
                    subscriber.deliver(copy, qos, now, retain=False)
                if subscriber.connection is not None:
                    subscriber.connection.wake()
        return entries

    def count(self, name: str, number: int = 1) -> None:
        """Count what happened."""
        self._counters[name] = self._counters.get(name, 0) + number

    # -- messages on their way

    def send(self, route: Route, payload: bytes, qos: int, origin: "Subscriber | None" = None) -> int:
        """Send a message without properties to its subscribers; return how many there were."""
        data4 = data5 = b""
        outgoing: Outgoing | None = None
        count = 0
        for delivery in route.deliveries:
            subscriber = delivery.subscriber
            granted = delivery.qos
            if subscriber is origin:
                granted = delivery.own_qos
                if granted < 0:
                    continue
            session = subscriber.session
            if not session.dirty:
                self.mark(subscriber)
            if qos and granted:
                if session.send_numbered(route.head, payload):
                    count += 1
                else:
                    outgoing = outgoing or Outgoing(route.head, payload, 1, retain=False)
                    count += session.deliver(outgoing, 1, 0.0, retain=False)
                continue
            if session.version == 5:
                data = data5 = data5 or plain_publish(route.head5, payload)
            else:
                data = data4 = data4 or plain_publish(route.head, payload)
            size = session.out_size + len(data)
            if size <= session.out_room:
                session.out.append(data)
                session.out_size = size
                count += 1
            else:
                count += session.send_plain(data)
        return count

    def send_outgoing(
        self,
        route: Route,
        outgoing: Outgoing,
        now: float,
        origin: "Subscriber | None" = None,
        *,
        kept: "list[Kept] | None" = None,
        recipients: "Recipients | None" = None,
    ) -> int:
        """Send a message that has more to it, or whose subscribers ask for more; return how many got it.

        `kept` and `recipients` are what `reserve` has returned and was given, once that is on disk.
        """
        copies: dict[tuple[tuple[int, ...], str], Outgoing] = {((), ""): outgoing}
        count = 0
        for delivery in self.recipients(route) if recipients is None else recipients:
            subscriber = delivery.subscriber
            granted, identifiers = delivery.qos, delivery.identifiers
            if subscriber is origin:
                granted, identifiers = delivery.own_qos, delivery.own_identifiers
                if granted < 0:
                    continue
            retain = outgoing.retain and delivery.retain_as_published
            qos = min(outgoing.qos, granted)
            if kept is not None and qos and subscriber.kept:
                continue
            marks = (identifiers, delivery.share)
            copy = copies.get(marks)
            if copy is None:
                copy = copies[marks] = outgoing.marked(*marks)
            count += subscriber.deliver(copy, qos, now, retain=retain)
            self.mark(subscriber)
        for subscriber, flight in kept or ():
            subscriber.take(flight, now)
            self.mark(subscriber)
            count += 1
        return count

    def tell(self, topic: str, outgoing: Outgoing, now: float) -> None:
        """Send a message of the node's own, where nobody may publish, and keep it in memory alone."""
        self._retained.put(topic, outgoing)
        found = self.table.match(topic)
        route = Route(topic, outgoing.topic, b"", found.deliveries, None, groups=found.groups)
        if route.has_listeners:
            self.send_outgoing(route, outgoing, now)

    def reserve(
        self, recipients: "Recipients", outgoing: Outgoing, origin: "Subscriber | None", place: int
    ) -> "list[Kept]":
        """Take a message on for the sessions that outlive their connections, before it is on disk."""
        kept: list[Kept] = []
        for delivery in recipients:
            subscriber = delivery.subscriber
            granted, identifiers = delivery.qos, delivery.identifiers
            if subscriber is origin:
                granted, identifiers = delivery.own_qos, delivery.own_identifiers
            qos = min(outgoing.qos, granted)
            if qos <= 0 or not subscriber.kept:
                continue
            retain = outgoing.retain and delivery.retain_as_published
            marked = identifiers or delivery.share
            copy = outgoing.marked(identifiers, delivery.share) if marked else outgoing
            flight = subscriber.reserve(copy, qos, retain=retain, place=place)
            if flight is not None:
                kept.append((subscriber, flight))
        return kept

    def mark(self, subscriber: "Subscriber") -> None:
        """Note that a subscriber's connection has output to write, or is to be closed."""
        session = subscriber.session
        if not session.dirty and subscriber.connection is not None:
            session.dirty = True
            self.dirty.append(subscriber.connection)

    # -- retained messages

    def load_retained(self, stored: dict[str, Retained]) -> None:
        """Take over what was retained before the node started."""
        for topic, one in stored.items():
            outgoing = Outgoing(
                string(topic), one.payload, one.qos, retain=True, encoded=one.properties, older=one.older
            )
            outgoing.expires_at = one.expires_at
            self._put_retained(topic, outgoing)

    def retain(self, topic: str, outgoing: Outgoing) -> Entry | None:
        """Keep a message as its topic's last, or forget it if it is empty; None: there is nothing to keep.

        Where there is no room for it after all, it is counted. If the disk refuses it, `unretain` it.
        """
        if not outgoing.payload and self._retained.get(topic) is None:
            return None
        if self.no_room(topic, outgoing) is not None:
            self.count("retained_refused")
            return None
        self._put_retained(topic, outgoing if outgoing.payload else None)
        payload, older = outgoing.payload, outgoing.older
        kept = Retained(
            payload,
            outgoing.qos,
            outgoing.properties,
            outgoing.expires_at,
            None if older is payload else older,
        )
        return self.store.disk.retained(topic, kept if outgoing.payload else None)

    def unretain(self, topic: str, outgoing: Outgoing, before: Outgoing | None) -> None:
        """Take a message back that the disk refused, unless a later one stands there."""
        if self._retained.get(topic) is (outgoing if outgoing.payload else None):
            self._put_retained(topic, before)

    def retained(self, topic: str) -> Outgoing | None:
        """Return a topic's last message."""
        return self._retained.get(topic)

    def _put_retained(self, topic: str, outgoing: Outgoing | None) -> None:
        before = self._retained.get(topic)
        if before is not None:
            self.retained_count -= 1
            self.retained_bytes -= before.size
        if outgoing is None:
            self._retained.remove(topic)
        else:
            self.retained_count += 1
            self.retained_bytes += outgoing.size
            self._retained.put(topic, outgoing)

    def no_room(self, topic: str, outgoing: Outgoing) -> Refusal | None:
        """Tell why a message can't be retained."""
        if not outgoing.payload:
            return None
        before = self._retained.get(topic)
        config = self._config
        if before is None and self.retained_count >= config.max_retained:
            return Refusal("full", f"{config.max_retained} topics are retained, the limit")
        size = self.retained_bytes + outgoing.size - (before.size if before is not None else 0)
        if size > config.max_retained_bytes:
            return Refusal(
                "full", f"retained messages would take {size} bytes, the limit is {config.max_retained_bytes}"
            )
        return None


def _load(subscriber: "Subscriber", topic: str) -> int:
    """Return how much a member of a group has to do: 0 nothing that would delay a message of the topic."""
    session = subscriber.session
    if not may_receive(subscriber, topic):
        return 3
    if session.closed:
        return 2
    return 0 if session.has_window and session.out_size < BUSY else 1
