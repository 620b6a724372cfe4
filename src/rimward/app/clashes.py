"""What only the whole app can tell: names that stand twice, and routes that get in each other's way."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from rimward.app.declared import (
    Declared,
    EdgeDeclared,
    FactDeclared,
    HookDeclared,
    MigrationDeclared,
    StateDeclared,
)
from rimward.app.plan import Plan, returns_something
from rimward.app.problems import Problem, line_of
from rimward.app.triggers import Coap, Http, Mqtt, Pattern, Ws

Place = tuple[str, int]


class Names:
    """Names in use. Functions and streams share one space, facts and states have one each."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], Place] = {}

    def add(self, kind: str, name: str, place: Place) -> None:
        """Take a name.

        Raises:
            Problem: it is taken.
        """
        space = "function" if kind == "stream" else kind
        other = self._places.get((space, name))
        if other is not None:
            what = {"fact": f"the table {name!r}", "state": f"the state {name!r}"}.get(space, name)
            raise Problem(
                f"{what} is declared twice, before in {line_of(other, place)}",
                "names key tables, cells, windows and budgets across edits; rename one",
                at=place,
            )
        self._places[space, name] = place

    def check_renamed(self, declared: Iterable[Declared]) -> None:
        """Refuse a `was` that is a name still in use, or given twice.

        Raises:
            Problem: it is one.
        """
        before: dict[tuple[str, str], Place] = {}
        for one in declared:
            space, was = _was(one)
            if was is None:
                continue
            place, key = (one.file, one.line), (space, was)
            other = self._places.get(key) or before.get(key)
            if other is not None:
                raise Problem(
                    f"was={was!r} names what {line_of(other, place)} has",
                    "an old name goes on under one new name: take one of them away",
                    at=place,
                )
            before[key] = place


def _was(one: Declared) -> tuple[str, str | None]:
    if isinstance(one, FactDeclared):
        return "fact", None  # the table keeps the old name: clashes are seen there
    if isinstance(one, HookDeclared | MigrationDeclared):
        return "function", None
    if isinstance(one, StateDeclared):
        return "state", one.was
    return "function", one.options.was if isinstance(one, EdgeDeclared) else one.was


class _Node:
    __slots__ = ("capture", "end", "literals", "tail")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.capture: _Node | None = None
        self.end: Any = None
        self.tail: Any = None


class PatternTree:
    """Patterns, and which of them can match what another one matches."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, pattern: Pattern, owner: Any) -> None:
        """Add a pattern."""
        node = self._root
        for segment in pattern.segments:
            if segment is None:
                node.capture = node.capture or _Node()
                node = node.capture
            else:
                node = node.literals.setdefault(segment, _Node())
        if pattern.tail:
            node.tail = owner
        else:
            node.end = owner

    def same(self, pattern: Pattern) -> Any:
        """Return the owner of a pattern of the same shape, or None."""
        node: _Node | None = self._root
        for segment in pattern.segments:
            if node is None:
                return None
            node = node.capture if segment is None else node.literals.get(segment)
        if node is None:
            return None
        return node.tail if pattern.tail else node.end

    def overlapping(self, pattern: Pattern) -> Any:
        """Return the owner of a pattern that can match a topic which this one matches, or None."""
        nodes = [self._root]
        for segment in pattern.segments:
            following: list[_Node] = []
            for node in nodes:
                if node.tail is not None:
                    return node.tail
                if node.capture is not None:
                    following.append(node.capture)
                if segment is None:
                    following += node.literals.values()
                elif segment in node.literals:
                    following.append(node.literals[segment])
            nodes = following
        for node in nodes:
            found = _any_below(node) if pattern.tail else node.end
            if found is not None:
                return found
        return None


def _any_below(node: _Node) -> Any:
    """Return an owner one segment or more below a node, where a tail reaches."""
    waiting = [*node.literals.values(), *([node.capture] if node.capture else [])]
    found = node.tail
    while waiting and found is None:
        below = waiting.pop()
        found = below.end if below.end is not None else below.tail
        waiting += below.literals.values()
        if below.capture is not None:
            waiting.append(below.capture)
    return found


class _Owner(Struct, frozen=True):
    name: str
    place: Place


class Clashes:
    """Routes of functions: one request runs one function, and one message gets one reply."""

    def __init__(self) -> None:
        self._paths: dict[tuple[type, str], PatternTree] = {}
        self._replies = PatternTree()

    def add(self, trigger: Any, plan: Plan, place: Place) -> None:
        """Take a function's route.

        Raises:
            Problem: another one is in its way.
        """
        owner = _Owner(plan.function.__name__, place)
        if isinstance(trigger, Http | Ws | Coap):
            method = "WS" if isinstance(trigger, Ws) else trigger.method
            tree = self._paths.setdefault((type(trigger), method), PatternTree())
            if (other := tree.same(trigger.pattern)) is not None:
                raise Problem(
                    f"{owner.name} and {other.name} ({line_of(other.place, place)}) both serve {trigger}",
                    "a request runs exactly one function; change one path",
                    at=place,
                )
            tree.add(trigger.pattern, owner)
        elif isinstance(trigger, Mqtt) and returns_something(plan):
            if (other := self._replies.overlapping(trigger.pattern)) is not None:
                raise Problem(
                    f"{owner.name} and {other.name} ({line_of(other.place, place)}) "
                    "can both reply to one message",
                    "at most one function may reply; let the other return None",
                    at=place,
                )
            self._replies.add(trigger.pattern, owner)
