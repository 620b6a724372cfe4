"""Values by topic, found by filter: what a broker retains."""

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


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
        _prune(path, node)

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


def _prune(path: list[tuple[_Leaf[V], str]], node: _Leaf[V]) -> None:
    """Forget a node, and those above it, as far as nothing is there."""
    while path and node.value is None and not node.below:
        node, level = path.pop()
        del node.below[level]


def _everything(nodes: list[_Leaf[V]], *, hide: bool) -> Iterator[V]:
    """Yield all values at and below some nodes; at the root, $-topics are hidden."""
    waiting = nodes[:]
    while waiting:
        node = waiting.pop()
        if node.value is not None:
            yield node.value
        waiting += [n for name, n in node.below.items() if not (hide and name.startswith("$"))]
        hide = False
