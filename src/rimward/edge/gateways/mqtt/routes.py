"""What is known of a topic, remembered: who gets its messages, and whether the plain lane may take them.

The memory is bounded in topics and in what they hold; where it is full, it starts anew.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from rimward.edge.gateways.mqtt.identifying import permitted
from rimward.protocols.mqtt import MqttError, Subscription, Subscriptions
from rimward.protocols.mqtt.fields import string
from rimward.protocols.mqtt.outgoing import NOTHING
from rimward.protocols.mqtt.subscriptions import Delivery, Group, Match, Options
from rimward.protocols.mqtt.topics import SHARED, check_name, is_wild, problem, split_shared

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.config import MqttConfig
    from rimward.edge.gateways.mqtt.subscriber import Subscriber

ROUTES_CACHED = 16_384  # topics
DELIVERIES_CACHED = 1 << 20  # of all those topics: where many listen to everything, fewer are remembered
CACHED_CHARACTERS = 256  # longer topics are matched every time


class Route(Struct, frozen=True):
    """What is known of one topic."""

    topic: str
    head: bytes  # the topic behind its length
    head5: bytes  # the same with no properties
    deliveries: "tuple[Delivery[Subscriber], ...]"
    problem: str | None  # why the node takes nothing on it
    kept: bool = False  # a message above QoS 0 is put on disk for some of its subscribers
    groups: "tuple[Group[Subscriber], ...]" = ()  # each message goes to one member of each as well
    shed: bool = False  # the node has too much to do for messages of its class

    @property
    def is_plain(self) -> bool:
        """Whether the plain lane may take its messages, which all go to everyone as they are."""
        return not (self.kept or self.groups or self.shed or any(one.identifiers for one in self.deliveries))

    @property
    def may_keep(self) -> bool:
        """Whether a message above QoS 0 may have to be on disk for some of its subscribers."""
        return self.kept or bool(self.groups)

    @property
    def has_listeners(self) -> bool:
        """Whether anybody gets its messages."""
        return bool(self.deliveries or self.groups)


class Routes:
    """Subscriptions and the routes that follow from them."""

    def __init__(self, config: "MqttConfig", counters: dict[str, int]) -> None:
        self.plain: dict[str, Route] = {}  # where the plain lane looks; it asks nothing of what it finds
        self.subscription_count: int = 0
        self.shared_count: int = 0
        self.shed: Callable[[str], bool] = lambda _: False  # whether a topic's class is refused now
        self._others: dict[str, Route] = {}
        self._cached = 0  # deliveries of both
        self._config = config
        self._counters = counters
        self._subscriptions: Subscriptions[Subscriber] = Subscriptions()

    @property
    def subscription_bytes(self) -> int:
        """Return what the subscriptions take in memory, about."""
        return self._subscriptions.size

    def room(self, topic_filter: str) -> str | None:
        """Tell why one more subscription to a filter is beyond the node's limits; None if it is not."""
        config = self._config
        if self.subscription_count >= config.max_all_subscriptions:
            return f"{config.max_all_subscriptions} subscriptions of all clients, the limit"
        size = self._subscriptions.size + Subscriptions.most(topic_filter)
        if size > config.max_subscription_bytes:
            return f"subscriptions would take {size} bytes, the limit is {config.max_subscription_bytes}"
        return None

    def add(self, subscriber: "Subscriber", wish: Subscription) -> bool:
        """Add or replace a subscription; return whether it is new."""
        options = Options(wish.qos, wish.no_local, wish.retain_as_published, wish.identifier)
        new = self._subscriptions.add(wish.filter, subscriber, options)
        self.subscription_count += new
        self.shared_count += new and wish.filter.startswith(SHARED)
        self._forget(wish.filter)
        return new

    def remove(self, subscriber: "Subscriber", topic_filter: str) -> bool:
        """Remove a subscription; return whether there was one."""
        if topic_filter not in subscriber.filters or not self._subscriptions.remove(topic_filter, subscriber):
            return False
        self.subscription_count -= 1
        self.shared_count -= topic_filter.startswith(SHARED)
        self._forget(topic_filter)
        return True

    def group(self, topic_filter: str) -> "Group[Subscriber] | None":
        """Return the group of a shared filter."""
        return self._subscriptions.group(topic_filter)

    def match(self, topic: str) -> "Match[Subscriber]":
        """Return who listens to a topic and may, without remembering it: for topics that come but once."""
        found = self._subscriptions.match(topic)
        return Match(permitted(found.deliveries, topic), found.groups)

    def route(self, topic: str) -> Route:
        """Return what is known of a topic, and remember it if messages may be published to it."""
        known = self.plain.get(topic) or self._others.get(topic)
        if known is not None:
            return known
        refused = _refused(topic)
        if refused is not None:
            return Route(topic, b"", b"", (), refused)
        found, head = self.match(topic), string(topic)
        kept = any(one.qos and one.subscriber.kept for one in found.deliveries)
        shed = self.shed(topic)
        route = Route(topic, head, head + NOTHING, found.deliveries, None, kept, found.groups, shed)
        if len(topic) <= CACHED_CHARACTERS:
            self._remember(topic, route)
        return route

    def _remember(self, topic: str, route: Route) -> None:
        routes = self.plain if route.is_plain else self._others
        self._cached += len(route.deliveries)
        if len(routes) >= ROUTES_CACHED or self._cached > DELIVERIES_CACHED:
            self.forget_all()
            self._counters["routes_forgotten"] = self._counters.get("routes_forgotten", 0) + 1
            self._cached: int = len(route.deliveries)
        routes[topic] = route

    def _forget(self, topic_filter: str) -> None:
        _, wanted = split_shared(topic_filter)
        if is_wild(wanted):
            self.forget_all()
        else:
            self.plain.pop(wanted, None)
            self._others.pop(wanted, None)

    def forget_all(self) -> None:
        """Find out anew who gets what: what identities may receive has changed."""
        self.plain.clear()
        self._others.clear()
        self._cached = 0


def _refused(topic: str) -> str | None:
    try:
        check_name(topic)
    except MqttError as error:
        return error.detail
    return problem(topic)
