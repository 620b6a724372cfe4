"""Routes: which functions a topic or a path runs, and what its captures are."""

from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from rimward.app.triggers import Pattern

T = TypeVar("T")


class Match(Struct, Generic[T], frozen=True):
    """A route that fits, with the text of each capture."""

    target: T
    captures: dict[str, str]


class _Node(Generic[T]):
    __slots__ = ("capture", "ends", "literals", "tails")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.capture: _Node[T] | None = None
        self.ends: list[tuple[int, Pattern, T]] = []
        self.tails: list[tuple[int, Pattern, T]] = []


class Routes(Generic[T]):
    """A tree of patterns; several may fit one topic, and they come out in the order they were added."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._count = 0

    def add(self, pattern: Pattern, target: T) -> None:
        """Add a pattern."""
        node = self._root
        for segment in pattern.segments:
            if segment is None:
                if node.capture is None:
                    node.capture = _Node()
                node = node.capture
            else:
                node = node.literals.setdefault(segment, _Node())
        (node.tails if pattern.tail else node.ends).append((self._count, pattern, target))
        self._count += 1

    def match(self, segments: list[str]) -> list[Match[T]]:
        """Return every pattern that fits, first added first. A capture is never empty."""
        found: list[tuple[int, Pattern, T]] = []
        nodes = [self._root]
        for segment in segments:
            if segment:
                for node in nodes:
                    found += node.tails
            following: list[_Node[T]] = []
            for node in nodes:
                if (literal := node.literals.get(segment)) is not None:
                    following.append(literal)
                if node.capture is not None and segment:
                    following.append(node.capture)
            nodes = following
        for node in nodes:
            found += node.ends
        return [
            Match(target, _captures(pattern, segments)) for _, pattern, target in sorted(found, key=_order)
        ]


def _order(found: tuple[int, Pattern, T]) -> int:
    return found[0]


def _captures(pattern: Pattern, segments: list[str]) -> dict[str, str]:
    texts = (text for text, literal in zip(segments, pattern.segments, strict=False) if literal is None)
    captures = dict(zip(pattern.captures, texts, strict=False))
    if pattern.tail:
        captures[pattern.tail] = "/".join(segments[len(pattern.segments) :])
    return captures


def path_segments(path: str) -> list[str] | None:
    """Return a request path's decoded segments.

    None where one hides / + # NUL, the first starts with $ as no topic may, or it is not UTF-8.
    """
    segments: list[str] = []
    for raw in path.removeprefix("/").split("/"):
        try:
            segment = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            return None
        if any(forbidden in segment for forbidden in "/+#\0"):
            return None
        segments.append(segment)
    return None if segments[0].startswith("$") else segments
