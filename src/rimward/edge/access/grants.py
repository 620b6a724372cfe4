"""What an identity may do: patterns with {client} and {user}, compiled once for everyone who shares them.

A pattern is an MQTT topic filter [4.7] whose levels may contain {client} (the identity's id) and {user}. For
requests it is a method, or *, and a path: `GET /trucks/{client}/#`. There are no denials: what no pattern
allows is refused, so the order of rules means nothing. `a/#` covers `a` itself; wildcards at the first level
never cover a topic that starts with $.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct

from rimward.protocols.mqtt import MqttError
from rimward.protocols.mqtt.topics import check_filter, too_large

_PLACEHOLDER = re.compile(r"\{(client|user)\}")
_METHOD = re.compile(r"\*|[A-Z]{1,20}")


class Action(StrEnum):
    """What may be allowed."""

    PUBLISH = "publish"  # a topic
    SUBSCRIBE = "subscribe"  # a topic filter
    RECEIVE = "receive"  # a topic that a message comes from
    REQUEST = "request"  # a method and a path, with a space between them
    OBSERVE = "observe"  # a path whose changes are told: CoAP Observe, server-sent events, WebSocket


class Patterns(Struct, frozen=True, forbid_unknown_fields=True):
    """What one rule allows, as it is written."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()  # and to receive what comes from there
    request: tuple[str, ...] = ()
    observe: tuple[str, ...] = ()


class Who(Struct, frozen=True):
    """Whose names stand for {client} and {user}."""

    client: str | None  # None: nobody that is known
    user: str | None


def pattern_problem(pattern: str) -> str | None:
    """Tell what is wrong with a pattern of topics; None if nothing is."""
    filled = _PLACEHOLDER.sub("x", pattern)
    if "{" in filled or "}" in filled:
        return "placeholders are {client} and {user}"
    try:
        check_filter(filled)
    except MqttError as error:
        return error.detail
    return too_large(filled)


def request_problem(pattern: str) -> str | None:
    """Tell what is wrong with a pattern of requests; None if nothing is."""
    method, space, path = pattern.partition(" ")
    if not space or _METHOD.fullmatch(method) is None or not path.startswith("/"):
        return "write a method or *, a space and a path, such as 'GET /trucks/{client}/#'"
    return pattern_problem(path[1:]) if path != "/" else None


def path_problem(pattern: str) -> str | None:
    """Tell what is wrong with a pattern of paths; None if nothing is."""
    if not pattern.startswith("/"):
        return f"a path starts with /: write '/{pattern}'"
    return pattern_problem(pattern[1:]) if pattern != "/" else None


def placeholders_of(pattern: str) -> set[str]:
    """Return which of client and user a pattern names."""
    return set(_PLACEHOLDER.findall(pattern))


class Grants:
    """The compiled patterns of one or more rules."""

    __slots__ = ("_methods", "_observe", "_publish", "_subscribe")

    def __init__(self, parts: Iterable[Patterns]) -> None:
        self._publish = _Node()
        self._subscribe = _Node()
        self._observe = _Node()
        self._methods: dict[str, _Node] = {}
        for part in parts:
            self._add(part)

    def _add(self, part: Patterns) -> None:
        for pattern in part.publish:
            self._publish.add(pattern.split("/"))
        for pattern in part.subscribe:
            self._subscribe.add(pattern.split("/"))
        for pattern in part.observe:
            self._observe.add(pattern[1:].split("/"))
        for pattern in part.request:
            method, _, path = pattern.partition(" ")
            self._methods.setdefault(method, _Node()).add(path[1:].split("/"))

    def topic(self, action: Action, topic: str, who: Who) -> bool:
        """Tell whether publishing to a topic, or receiving from it, is allowed."""
        root = self._publish if action is Action.PUBLISH else self._subscribe
        return root.covers(topic.split("/"), who)

    def filter(self, topic_filter: str, who: Who) -> bool:
        """Tell whether any topic that a filter fits may be received from."""
        return self._subscribe.meets(topic_filter.split("/"), who)

    def request(self, method: str, segments: list[str], who: Who) -> bool:
        """Tell whether a request is allowed; `segments` are the decoded ones of its path."""
        roots = (self._methods.get(method), self._methods.get("*"))
        return any(root is not None and root.covers(segments, who) for root in roots)

    def observe(self, segments: list[str], who: Who) -> bool:
        """Tell whether a path may be observed."""
        return self._observe.covers(segments, who)

    @property
    def speaks_mqtt(self) -> bool:
        """Whether any topic is allowed at all."""
        return not (self._publish.is_empty and self._subscribe.is_empty)


class _Node:
    """One level of a tree of patterns."""

    __slots__ = ("any", "end", "filled", "literals", "tail")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.filled: dict[str, _Node] = {}  # levels with placeholders
        self.any: _Node | None = None  # the level +
        self.tail = False  # a pattern goes on with #
        self.end = False  # a pattern ends here

    @property
    def is_empty(self) -> bool:
        return not (self.literals or self.filled or self.any or self.tail or self.end)

    def add(self, levels: list[str]) -> None:
        node = self
        for level in levels:
            if level == "#":
                node.tail = True
                return
            if level == "+":
                node.any = node.any or _Node()
                node = node.any
            elif "{" in level:
                node = node.filled.setdefault(level, _Node())
            else:
                node = node.literals.setdefault(level, _Node())
        node.end = True

    def covers(self, levels: list[str], who: Who) -> bool:
        """Tell whether a pattern fits a topic."""
        nodes = [self]
        hidden = levels[0].startswith("$")
        for level in levels:
            following: list[_Node] = []
            for node in nodes:
                if node.tail and not hidden:
                    return True
                following += node._below(level, who, wild=not hidden)
            if not following:
                return False
            nodes = following
            hidden = False
        return any(node.end or node.tail for node in nodes)

    def meets(self, levels: list[str], who: Who) -> bool:
        """Tell whether a pattern and a filter have a topic in common."""
        nodes = [self]
        for index, level in enumerate(levels):
            first = index == 0
            if level == "#":
                return any(node._goes_on(who, first=first) for node in nodes)
            if any(node.tail for node in nodes) and not (first and level.startswith("$")):
                return True
            following: list[_Node] = []
            for node in nodes:
                if level == "+":
                    following += node._all_below(who, first=first)
                else:
                    following += node._below(level, who, wild=not (first and level.startswith("$")))
            nodes = following
        return any(node.end or node.tail for node in nodes)

    def _below(self, level: str, who: Who, *, wild: bool) -> "Iterator[_Node]":
        literal = self.literals.get(level)
        if literal is not None:
            yield literal
        for template, node in self.filled.items():
            if _fill(template, who) == level:
                yield node
        if self.any is not None and wild:
            yield self.any

    def _all_below(self, who: Who, *, first: bool) -> "Iterator[_Node]":
        """Yield what a + leads to: everything that can be said at all."""
        for level, node in self.literals.items():
            if not (first and level.startswith("$")):
                yield node
        for template, node in self.filled.items():
            if _fill(template, who) is not None and not (first and template.startswith("$")):
                yield node
        if self.any is not None:
            yield self.any

    def _goes_on(self, who: Who, *, first: bool) -> bool:
        """Tell whether a # that comes next has a topic in common with a pattern."""
        if self.tail or self.end:
            return True
        return any(node._goes_on(who, first=False) for node in self._all_below(who, first=first))


def _fill(template: str, who: Who) -> str | None:
    """Return a level with the names in it; None where one is not known."""
    names = {"client": who.client, "user": who.user}
    if any(names[name] is None for name in _PLACEHOLDER.findall(template)):
        return None
    return _PLACEHOLDER.sub(lambda match: names[match[1]] or "", template)
