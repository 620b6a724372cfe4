"""A node is a broker: who gets which message, and what is retained.

One message is encoded once per version, QoS and retain flag, and put into the output of each subscriber;
nothing is written here. Connections come and go; subscriptions belong to a `Subscriber`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from rimward.edge.dispatch.types import Refusal, Retained, Ticket
from rimward.edge.gateways.mqtt.identifying import permitted
from rimward.edge.gateways.mqtt.replays import Replays
from rimward.protocols.mqtt import MqttError, Subscription, Subscriptions, TopicTree
from rimward.protocols.mqtt.encoding import plain_publish
from rimward.protocols.mqtt.fields import string
from rimward.protocols.mqtt.outgoing import NOTHING, Outgoing
from rimward.protocols.mqtt.topics import Delivery, Options, check_name, is_wild, problem

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.config import MqttConfig
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.subscriber import Subscriber

ROUTES_CACHED = 16_384  # topics whose subscribers are remembered; beyond it the memory starts anew
CACHED_CHARACTERS = 256  # longer topics are matched every time

StoreRetained = Callable[[str, Retained | None], Ticket | None]


class Route(Struct, frozen=True):
    """What is known of one topic."""

    topic: str
    head: bytes  # the topic behind its length
    head5: bytes  # the same with no properties
    deliveries: "tuple[Delivery[Subscriber], ...]"
    problem: str | None  # why the node takes nothing on it
    kept: bool = False  # a message above QoS 0 is put on disk for some of its subscribers


class Broker:
    """Subscriptions, retained messages, and the way of a message to its subscribers."""

    def __init__(self, config: "MqttConfig", store_retained: StoreRetained, counters: dict[str, int]) -> None:
        self.routes: dict[str, Route] = {}  # those that the plain lane may take: see `route`
        self._others: dict[str, Route] = {}  # those that it may not
        self.dirty: list[Connection] = []  # those with output to write
        self.retained_count: int = 0
        self.retained_bytes: int = 0
        self.subscription_count: int = 0
        self._config = config
        self._store_retained = store_retained
        self._counters = counters
        self._subscriptions: Subscriptions[Subscriber] = Subscriptions()
        self._retained: TopicTree[Outgoing] = TopicTree()
        self.replays: Replays = Replays(self._retained)

    # -- subscriptions

    def subscribe(self, subscriber: "Subscriber", wish: Subscription) -> bool:
        """Add or replace a subscription; return whether it is new."""
        options = Options(min(wish.qos, 1), wish.no_local, wish.retain_as_published)
        new = self._subscriptions.add(wish.filter, subscriber, options)
        subscriber.filters[wish.filter] = wish
        self.subscription_count += new
        self._forget_routes(wish.filter)
        return new

    def unsubscribe(self, subscriber: "Subscriber", topic_filter: str) -> bool:
        """Remove a subscription; return whether there was one."""
        if not self._subscriptions.remove(topic_filter, subscriber):
            return False
        self.subscription_count -= 1
        subscriber.filters.pop(topic_filter, None)
        self.replays.drop(subscriber, topic_filter)
        self._forget_routes(topic_filter)
        return True

    def _forget_routes(self, topic_filter: str) -> None:
        if is_wild(topic_filter):
            self.routes.clear()
            self._others.clear()
        else:
            self.routes.pop(topic_filter, None)
            self._others.pop(topic_filter, None)

    def route(self, topic: str) -> Route:
        """Return what is known of a topic, and remember it if messages may be published to it.

        What needs more than `send` does is not in `routes`: there the plain lane looks and asks nothing.
        """
        known = self.routes.get(topic) or self._others.get(topic)
        if known is not None:
            return known
        refused = _refused(topic)
        if refused is not None:
            return Route(topic, b"", b"", (), refused)
        head = string(topic)
        deliveries = permitted(self._subscriptions.match(topic), topic)
        kept = any(delivery.qos and delivery.subscriber.kept for delivery in deliveries)
        route = Route(topic, head, head + NOTHING, deliveries, None, kept)
        if len(topic) <= CACHED_CHARACTERS:
            routes = self._others if kept else self.routes
            if len(routes) >= ROUTES_CACHED:
                routes.clear()
            routes[topic] = route
        return route

    def listeners(self, topic: str) -> "tuple[Delivery[Subscriber], ...]":
        """Return a topic's subscribers, without remembering them: for topics that come but once."""
        return permitted(self._subscriptions.match(topic), topic)

    def forget_routes(self) -> None:
        """Find out anew who gets what: what an identity may receive has changed."""
        self.routes.clear()
        self._others.clear()

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
        self, route: Route, outgoing: Outgoing, now: float, origin: "Subscriber | None" = None
    ) -> int:
        """Send a message that has more to it; return how many subscribers there were."""
        count = 0
        for delivery in route.deliveries:
            subscriber = delivery.subscriber
            granted = delivery.qos if subscriber is not origin else delivery.own_qos
            if granted < 0:
                continue
            retain = outgoing.retain and delivery.retain_as_published
            qos = min(outgoing.qos, granted)
            count += subscriber.session.deliver(outgoing, qos, now, retain=retain)
            self.mark(subscriber)
        return count

    def mark(self, subscriber: "Subscriber") -> None:
        """Note that a subscriber's connection has output to write, or is to be closed."""
        session = subscriber.session
        if not session.dirty:
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

    def retain(self, topic: str, outgoing: Outgoing) -> Ticket | None:
        """Keep a message as its topic's last, or forget it if it is empty; None: nothing to wait for.

        If the disk refuses it, the one before it stands again.
        """
        before = self._retained.get(topic)
        if not outgoing.payload and before is None:
            return None
        if (refusal := self._no_room(outgoing, before)) is not None:
            refused = Ticket()
            refused.finish(refusal)
            return refused
        self._put_retained(topic, outgoing if outgoing.payload else None)
        payload, older = outgoing.payload, outgoing.older
        kept = Retained(
            payload,
            outgoing.qos,
            outgoing.properties,
            outgoing.expires_at,
            None if older is payload else older,
        )
        return self._store_retained(topic, kept if outgoing.payload else None)

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

    def _no_room(self, outgoing: Outgoing, before: Outgoing | None) -> Refusal | None:
        if not outgoing.payload:
            return None
        config = self._config
        if before is None and self.retained_count >= config.max_retained:
            return Refusal("full", f"{config.max_retained} topics are retained, the limit")
        size = self.retained_bytes + outgoing.size - (before.size if before is not None else 0)
        if size > config.max_retained_bytes:
            return Refusal(
                "full", f"retained messages would take {size} bytes, the limit is {config.max_retained_bytes}"
            )
        return None


def _refused(topic: str) -> str | None:
    try:
        check_name(topic)
    except MqttError as error:
        return error.detail
    return problem(topic)
