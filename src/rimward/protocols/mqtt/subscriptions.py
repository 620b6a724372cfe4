"""Who subscribes to what [4.7, 5: 4.8.2]: a dictionary for exact filters, a tree for wildcards.

What it may take in memory is for its owner to bound, by `size` before and `most` of what is to be added.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from rimward.protocols.mqtt.topics import SHARED, is_wild, split_shared

S = TypeVar("S")

# Bytes that the parts take, about; a test holds them to be no less than what is measured.
NODE_BYTES = 400  # one level of the tree
HOLDER_BYTES = 256  # a filter that somebody subscribes to
MEMBER_BYTES = 448  # one subscriber of it
GROUP_BYTES = 640  # a share name of it


class Options(Struct, frozen=True, gc=False):
    """What one subscription asks for."""

    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    identifier: int = 0  # 0: it has none


class Delivery(Struct, Generic[S], frozen=True):
    """How one subscriber gets a topic's messages, all its filters that fit taken together [5: 3.3.4]."""

    subscriber: S
    qos: int  # the highest that it asked for
    own_qos: int  # the same for messages of its own; -1 if it wants none
    retain_as_published: bool
    identifiers: tuple[int, ...] = ()  # of its subscriptions that fit
    own_identifiers: tuple[int, ...] = ()  # the same for messages of its own
    share: str = ""  # the shared filter for which it is this subscriber's turn


class Group(Generic[S]):
    """The members of one shared subscription; each message goes to one of them."""

    __slots__ = ("_members", "_next", "_ring", "filter", "name")

    def __init__(self, name: str, topic_filter: str) -> None:
        self.name: str = name
        self.filter: str = topic_filter  # without the share name
        self._members: dict[S, Delivery[S]] = {}
        self._ring: tuple[Delivery[S], ...] | None = None  # the members in the order of their turns
        self._next: int = 0  # whose turn it is

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: S, options: Options) -> bool:
        """Add or replace a member; return whether it is new."""
        new = member not in self._members
        self._members[member] = _delivery(member, options, f"{SHARED}{self.name}/{self.filter}")
        self._ring = None
        return new

    def remove(self, member: S) -> bool:
        """Remove a member; return whether it was one."""
        self._ring = None
        return self._members.pop(member, None) is not None

    def pick(self, load: Callable[[S], int]) -> Delivery[S] | None:
        """Return the member whose turn it is among those with the least load; None where there is none.

        Load 0 is taken without a look at the others, so that a turn costs the same in a large group.
        """
        ring = self._ring
        if ring is None:
            ring = self._ring = tuple(self._members.values())
        count = len(ring)
        best, least = -1, 0
        for step in range(count):
            index = (self._next + step) % count
            found = load(ring[index].subscriber)
            if best < 0 or found < least:
                best, least = index, found
            if not found:
                break
        if best < 0:
            return None
        self._next = best + 1
        return ring[best]


class Match(Struct, Generic[S], frozen=True):
    """Where a topic's messages go."""

    deliveries: tuple[Delivery[S], ...] = ()
    groups: tuple[Group[S], ...] = ()


class _Holders(Generic[S]):
    """Who subscribes to one filter."""

    __slots__ = ("_deliveries", "groups", "options")

    def __init__(self) -> None:
        self.options: dict[S, Options] = {}
        self.groups: dict[str, Group[S]] | None = None  # by share name
        self._deliveries: tuple[Delivery[S], ...] | None = None  # of `options` alone

    @property
    def group_count(self) -> int:
        return len(self.groups) if self.groups is not None else 0

    def is_empty(self) -> bool:
        return not self.options and not self.groups

    def deliveries(self) -> tuple[Delivery[S], ...]:
        """Return what is due to the subscribers where no other filter fits; topics share it."""
        if self._deliveries is None:
            self._deliveries = tuple([_delivery(who, options) for who, options in self.options.items()])
        return self._deliveries

    def add(self, share: str | None, topic_filter: str, subscriber: S, options: Options) -> bool:
        if share is None:
            new = subscriber not in self.options
            self.options[subscriber] = options
            self._deliveries = None
            return new
        if self.groups is None:
            self.groups = {}
        group = self.groups.get(share)
        if group is None:
            group = self.groups[share] = Group(share, topic_filter)
        return group.add(subscriber, options)

    def remove(self, share: str | None, subscriber: S) -> bool:
        if share is None:
            self._deliveries = None
            return self.options.pop(subscriber, None) is not None
        group = self.groups.get(share) if self.groups is not None else None
        if group is None or self.groups is None or not group.remove(subscriber):
            return False
        if not len(group):
            del self.groups[share]
        return True


class _Node(Generic[S]):
    __slots__ = ("any", "below", "ends", "tails")

    def __init__(self) -> None:
        self.below: dict[str, _Node[S]] | None = None
        self.any: _Node[S] | None = None  # the level +
        self.ends: _Holders[S] | None = None  # filters that end here
        self.tails: _Holders[S] | None = None  # filters that go on with #

    def is_empty(self) -> bool:
        return not self.below and self.any is None and self.ends is None and self.tails is None


class Subscriptions(Generic[S]):
    """Who subscribes to what."""

    def __init__(self) -> None:
        self.size: int = 0  # bytes that it takes, about
        self._exact: dict[str, _Holders[S]] = {}
        self._root: _Node[S] = _Node()

    @staticmethod
    def most(topic_filter: str) -> int:
        """Return the most bytes by which one more subscription can add to `size`."""
        levels = topic_filter.count("/") + 1
        return levels * NODE_BYTES + HOLDER_BYTES + GROUP_BYTES + MEMBER_BYTES + len(topic_filter)

    def add(self, topic_filter: str, subscriber: S, options: Options) -> bool:
        """Add or replace a subscription; return whether it is new.

        Raises:
            MqttError: it is shared and its name is not as the standard says.
        """
        share, wanted = split_shared(topic_filter)
        holders = self._tree_holders(wanted) if is_wild(wanted) else self._exact_holders(wanted)
        groups = holders.group_count
        new = holders.add(share, wanted, subscriber, options)
        self.size += new * MEMBER_BYTES + (holders.group_count - groups) * GROUP_BYTES
        return new

    def remove(self, topic_filter: str, subscriber: S) -> bool:
        """Remove a subscription; return whether there was one.

        Raises:
            MqttError: it is shared and its name is not as the standard says.
        """
        share, wanted = split_shared(topic_filter)
        if is_wild(wanted):
            removed = self._prune(wanted, share, subscriber)
        else:
            holders = self._exact.get(wanted)
            removed = holders is not None and self._remove(holders, share, subscriber)
            if holders is not None and holders.is_empty():
                del self._exact[wanted]
                self.size -= HOLDER_BYTES + len(wanted)
        return removed

    def group(self, topic_filter: str) -> Group[S] | None:
        """Return the group of a shared filter."""
        share, wanted = split_shared(topic_filter)
        holders = self._find(wanted) if is_wild(wanted) else self._exact.get(wanted)
        if share is None or holders is None or holders.groups is None:
            return None
        return holders.groups.get(share)

    def match(self, topic: str) -> Match[S]:
        """Return every subscriber that a topic goes to, each once, and every group, each once."""
        found: list[_Holders[S]] = []
        exact = self._exact.get(topic)
        if exact is not None:
            found.append(exact)
        if not self._root.is_empty():
            self._walk(topic, found)
        if not found:
            return Match()
        if len(found) == 1 and found[0].groups is None:
            return Match(found[0].deliveries())
        return Match(_merged(found), tuple([g for one in found if one.groups for g in one.groups.values()]))

    def _walk(self, topic: str, found: list[_Holders[S]]) -> None:
        levels = topic.split("/")
        root, at = self._root, 0
        node: _Node[S] | None = root
        if topic.startswith("$"):  # first-level wildcards don't see $-topics [4.7.2]
            node = root.below.get(levels[0]) if root.below is not None else None
            at = 1
        if node is not None:
            _collect(node, levels, at, found)

    # -- private

    def _exact_holders(self, topic: str) -> _Holders[S]:
        holders = self._exact.get(topic)
        if holders is None:
            holders = self._exact[topic] = _Holders()
            self.size += HOLDER_BYTES + len(topic)
        return holders

    def _tree_holders(self, topic_filter: str) -> _Holders[S]:
        node = self._root
        levels = topic_filter.split("/")
        for level in levels:
            if level == "#":
                break
            node = self._below(node, level)
        if levels[-1] == "#":
            holders = node.tails = node.tails or self._new_holders()
        else:
            holders = node.ends = node.ends or self._new_holders()
        return holders

    def _new_holders(self) -> _Holders[S]:
        self.size += HOLDER_BYTES
        return _Holders()

    def _below(self, node: _Node[S], level: str) -> _Node[S]:
        """Return the node of one level more, made where there is none."""
        if level == "+":
            if node.any is None:
                node.any = _Node()
                self.size += NODE_BYTES
            return node.any
        if node.below is None:
            node.below = {}
        following = node.below.get(level)
        if following is None:
            following = node.below[level] = _Node()
            self.size += NODE_BYTES + len(level)
        return following

    def _remove(self, holders: _Holders[S], share: str | None, subscriber: S) -> bool:
        groups = holders.group_count
        removed = holders.remove(share, subscriber)
        self.size -= removed * MEMBER_BYTES + (groups - holders.group_count) * GROUP_BYTES
        return removed

    def _find(self, topic_filter: str) -> _Holders[S] | None:
        path = self._path(topic_filter)
        if path is None:
            return None
        return path[-1][0].tails if topic_filter.endswith("#") else path[-1][0].ends

    def _path(self, topic_filter: str) -> list[tuple[_Node[S], str]] | None:
        """Return the nodes of a filter from the root on, each with the level that led to it."""
        path = [(self._root, "")]
        for level in topic_filter.split("/"):
            if level == "#":
                break
            node = path[-1][0]
            following = node.any if level == "+" else (node.below or {}).get(level)
            if following is None:
                return None
            path.append((following, level))
        return path

    def _prune(self, topic_filter: str, share: str | None, subscriber: S) -> bool:
        path = self._path(topic_filter)
        if path is None:
            return False
        node = path[-1][0]
        tail = topic_filter.endswith("#")
        holders = node.tails if tail else node.ends
        if holders is None or not self._remove(holders, share, subscriber):
            return False
        if holders.is_empty():
            self.size -= HOLDER_BYTES
            if tail:
                node.tails = None
            else:
                node.ends = None
        while len(path) > 1 and path[-1][0].is_empty():
            _, level = path.pop()
            above = path[-1][0]
            self.size -= NODE_BYTES
            if level == "+":
                above.any = None
            elif above.below is not None:
                del above.below[level]
                self.size -= len(level)
        return True


def _collect(node: _Node[S], levels: list[str], at: int, found: list[_Holders[S]]) -> None:
    """Find what fits from the level `at` on; each + on the way takes a call, plain levels take none."""
    end = len(levels)
    while True:
        if node.tails is not None:
            found.append(node.tails)
        if at == end:
            if node.ends is not None:
                found.append(node.ends)
            return
        below = node.below
        following = below.get(levels[at]) if below is not None else None
        at += 1
        if node.any is not None:
            if following is not None:
                _collect(node.any, levels, at, found)
            else:
                following = node.any
        elif following is None:
            return
        node = following


def _delivery(subscriber: S, options: Options, share: str = "") -> Delivery[S]:
    own = -1 if options.no_local else options.qos
    identifiers = (options.identifier,) if options.identifier else ()
    return Delivery(
        subscriber,
        options.qos,
        own,
        options.retain_as_published,
        identifiers,
        () if options.no_local else identifiers,
        share,
    )


def _merged(found: Iterable[_Holders[S]]) -> tuple[Delivery[S], ...]:
    merged: dict[S, Delivery[S]] = {}
    for holders in found:
        for delivery in holders.deliveries():
            known = merged.get(delivery.subscriber)
            merged[delivery.subscriber] = delivery if known is None else _both(known, delivery)
    return tuple(merged.values())


def _both(one: Delivery[S], other: Delivery[S]) -> Delivery[S]:
    return Delivery(
        one.subscriber,
        max(one.qos, other.qos),
        max(one.own_qos, other.own_qos),
        one.retain_as_published or other.retain_as_published,
        one.identifiers + other.identifiers,
        one.own_identifiers + other.own_identifiers,
    )
