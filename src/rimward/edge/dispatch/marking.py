"""The slot around calls that the longer way makes."""

from typing import Protocol

from rimward.edge.dispatch.work import Work
from rimward.edge.slot import EVENT, FUNCTION, START, digest


class Numbered(Protocol):
    """A function or a stream, as the slot knows it."""

    number: int


class Mark:
    """What the slot says while one call runs."""

    __slots__ = ("event", "number", "words")

    def __init__(self, words: memoryview, run: Numbered, work: Work) -> None:
        self.words: memoryview = words
        self.number: int = run.number
        self.event: int = event_of(work)

    def begin(self, start: int) -> None:
        """User code runs from now on, since `start` as far as its own time goes; monotonic ns."""
        words = self.words
        words[EVENT] = self.event
        words[FUNCTION] = self.number
        words[START] = start

    def end(self) -> None:
        """User code does not run any more."""
        self.words[START] = 0


def event_of(work: Work) -> int:
    """Return the digest of a work's event."""
    return digest(work.source, work.payload)
