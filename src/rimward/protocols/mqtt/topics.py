"""Topic names and filters [4.7]: their rules, who subscribes to what, and a tree of retained messages."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from msgspec import Struct

from rimward.protocols.mqtt.fields import malformed
from rimward.protocols.mqtt.reasons import MqttError, Reason

S = TypeVar("S")
V = TypeVar("V")

MAX_BYTES = 1024  # of a topic name or filter that a node takes
MAX_LEVELS = 32


def check_name(topic: str, reason: Reason = Reason.TOPIC_NAME_INVALID) -> str:
    """Return a topic name that the standard allows.

    Raises:
        MqttError: it is empty or has a wildcard, a NUL or more than 65535 bytes.
    """
    if not topic or "+" in topic or "#" in topic:
        raise MqttError(reason, "a topic name is empty or has a wildcard")
    if "\0" in topic or len(topic.encode(errors="replace")) > 0xFFFF:
        raise malformed("a topic name has a NUL or more than 65535 bytes")
    return topic


def check_filter(topic_filter: str) -> str:
    """Return a topic filter that the standard allows [4.7.1].

    Raises:
        MqttError: it is empty, or a wildcard is not a level of its own, or # is not the last.
    """
    levels = topic_filter.split("/")
    if not topic_filter or "\0" in topic_filter:
        raise malformed("a topic filter is empty or has a NUL")
    for index, level in enumerate(levels):
        if level == "+" or (level == "#" and index == len(levels) - 1):
            continue
        if "+" in level or "#" in level:
            raise MqttError(Reason.TOPIC_FILTER_INVALID, "a topic filter has a wildcard out of its place")
    return topic_filter


def problem(topic: str) -> str | None:
    """Tell why a node does not take messages on a topic that the standard allows; None if it does."""
    if topic.startswith("$"):
        return "topics that start with $ are the node's own"
    if "%2f" in topic.lower():
        return "the topic has %2F, which other protocols read as /"
    return too_large(topic)


def too_large(topic: str) -> str | None:
    """Tell why a topic or filter is over the node's limits; None if it is not."""
    size = len(topic) if topic.isascii() else len(topic.encode())
    if size > MAX_BYTES:
        return f"the topic has {size} bytes, the limit is {MAX_BYTES}"
    levels = topic.count("/") + 1
    if levels > MAX_LEVELS:
        return f"the topic has {levels} levels, the limit is {MAX_LEVELS}"
    return None


def is_wild(topic_filter: str) -> bool:
    """Tell whether a filter has a wildcard."""
    return "+" in topic_filter or "#" in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether one filter fits one topic [4.7.1, 4.7.2]."""
    if topic.startswith("$") and topic_filter.startswith(("+", "#")):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in {"+", levels[index]}:
            return False
    return len(wanted) == len(levels)


class Options(Struct, frozen=True, gc=False):
    """What one subscription asks for."""

    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False


class Delivery(Struct, Generic[S], frozen=True):
    """How one subscriber gets a topic's messages, all its filters that fit taken together."""

    subscriber: S
    qos: int  # the highest that it asked for
    own_qos: int  # the same for messages of its own; -1 if it wants none
    retain_as_published: bool


class _Node(Generic[S]):
    __slots__ = ("any", "below", "ends", "tails")

    def __init__(self) -> None:
        self.below: dict[str, _Node[S]] = {}
        self.any: _Node[S] | None = None  # the level +
        self.ends: dict[S, Options] = {}  # filters that end here
        self.tails: dict[S, Options] = {}  # filters that go on with #

    def is_empty(self) -> bool:
        return not (self.below or self.any is not None or self.ends or self.tails)


class Subscriptions(Generic[S]):
    """Who subscribes to what: a dictionary for exact filters, a tree for wildcards."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[S, Options]] = {}
        self._root: _Node[S] = _Node()

    def add(self, topic_filter: str, subscriber: S, options: Options) -> bool:
        """Add or replace a subscription; return whether it is new."""
        if is_wild(topic_filter):
            holders = self._holders(topic_filter)
        else:
            holders = self._exact.setdefault(topic_filter, {})
        new = subscriber not in holders
        holders[subscriber] = options
        return new

    def remove(self, topic_filter: str, subscriber: S) -> bool:
        """Remove a subscription; return whether there was one."""
        if is_wild(topic_filter):
            return self._prune(topic_filter, subscriber)
        holders = self._exact.get(topic_filter)
        if holders is None or holders.pop(subscriber, None) is None:
            return False
        if not holders:
            del self._exact[topic_filter]
        return True

    def match(self, topic: str) -> tuple[Delivery[S], ...]:
        """Return every subscriber that a topic goes to, each once."""
        found: list[dict[S, Options]] = []
        exact = self._exact.get(topic)
        if exact is not None:
            found.append(exact)
        if not self._root.is_empty():
            self._walk(topic, found)
        if not found:
            return ()
        merged: dict[S, Delivery[S]] = {}
        for holders in found:
            for subscriber, options in holders.items():
                merged[subscriber] = _merge(merged.get(subscriber), subscriber, options)
        return tuple(merged.values())

    def _walk(self, topic: str, found: list[dict[S, Options]]) -> None:
        nodes = [self._root]
        hidden = topic.startswith("$")  # first-level wildcards don't see $-topics [4.7.2]
        for level in topic.split("/"):
            following: list[_Node[S]] = []
            for node in nodes:
                if node.tails and not hidden:
                    found.append(node.tails)
                below = node.below.get(level)
                if below is not None:
                    following.append(below)
                if node.any is not None and not hidden:
                    following.append(node.any)
            nodes = following
            hidden = False
        for node in nodes:
            found += [holders for holders in (node.ends, node.tails) if holders]

    def _holders(self, topic_filter: str) -> dict[S, Options]:
        node = self._root
        for level in topic_filter.split("/"):
            if level == "#":
                return node.tails
            if level == "+":
                if node.any is None:
                    node.any = _Node()
                node = node.any
            else:
                node = node.below.setdefault(level, _Node())
        return node.ends

    def _prune(self, topic_filter: str, subscriber: S) -> bool:
        path: list[tuple[_Node[S], str]] = []
        node = self._root
        levels = topic_filter.split("/")
        for level in levels:
            if level == "#":
                break
            path.append((node, level))
            following = node.any if level == "+" else node.below.get(level)
            if following is None:
                return False
            node = following
        holders = node.tails if levels[-1] == "#" else node.ends
        if holders.pop(subscriber, None) is None:
            return False
        while path and node.is_empty():
            node, level = path.pop()
            if level == "+":
                node.any = None
            else:
                del node.below[level]
        return True


def _merge(known: Delivery[S] | None, subscriber: S, options: Options) -> Delivery[S]:
    own = -1 if options.no_local else options.qos
    if known is None:
        return Delivery(subscriber, options.qos, own, options.retain_as_published)
    return Delivery(
        subscriber,
        max(known.qos, options.qos),
        max(known.own_qos, own),
        known.retain_as_published or options.retain_as_published,
    )


class _Leaf(Generic[V]):
    __slots__ = ("below", "value")

    def __init__(self) -> None:
        self.below: dict[str, _Leaf[V]] = {}
        self.value: V | None = None


class TopicTree(Generic[V]):
    """Values by topic, found by filter."""

    def __init__(self) -> None:
        self._root: _Leaf[V] = _Leaf()

    def put(self, topic: str, value: V) -> None:
        """Set a topic's value."""
        node = self._root
        for level in topic.split("/"):
            node = node.below.setdefault(level, _Leaf())
        node.value = value

    def get(self, topic: str) -> V | None:
        """Return a topic's value."""
        node: _Leaf[V] | None = self._root
        for level in topic.split("/"):
            node = node.below.get(level) if node is not None else None
        return node.value if node is not None else None

    def remove(self, topic: str) -> None:
        """Forget a topic."""
        path: list[tuple[_Leaf[V], str]] = []
        node = self._root
        for level in topic.split("/"):
            path.append((node, level))
            following = node.below.get(level)
            if following is None:
                return
            node = following
        node.value = None
        while path and node.value is None and not node.below:
            node, level = path.pop()
            del node.below[level]

    def find(self, topic_filter: str) -> Iterator[V]:
        """Yield the value of every topic that a filter fits."""
        nodes = [self._root]
        levels = topic_filter.split("/")
        for index, level in enumerate(levels):
            if level == "#":
                yield from _everything(nodes, hide=index == 0)
                return
            following: list[_Leaf[V]] = []
            for node in nodes:
                if level == "+":
                    hide = index == 0
                    following += [n for name, n in node.below.items() if not (hide and name.startswith("$"))]
                elif (below := node.below.get(level)) is not None:
                    following.append(below)
            nodes = following
        for node in nodes:
            if node.value is not None:
                yield node.value


def _everything(nodes: list[_Leaf[V]], *, hide: bool) -> Iterator[V]:
    """Yield all values at and below some nodes; at the root, $-topics are hidden."""
    waiting = nodes[:]
    while waiting:
        node = waiting.pop()
        if node.value is not None:
            yield node.value
        waiting += [n for name, n in node.below.items() if not (hide and name.startswith("$"))]
        hide = False
