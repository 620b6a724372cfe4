"""What the gateway asks of the node's disk; it knows neither files nor transactions."""

from collections.abc import Callable, Sequence
from typing import Protocol

from rimward.edge.dispatch.types import Entry, Retained, Ticket


class Disk(Protocol):
    """Entries by space and key, and the clock that goes on while the node does not run."""

    def load_retained(self) -> dict[str, Retained]:
        """Return every topic's retained message as the node found it when it started."""
        ...

    def retained(self, topic: str, message: Retained | None) -> Entry:
        """Return the entry that keeps a topic's retained message, or forgets it."""
        ...

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space held when the node started."""
        ...

    def keep(self, entries: Sequence[Entry]) -> Ticket:
        """Put entries on disk together; the ticket is done when they are there."""
        ...

    def lazily(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        """Put an entry there with the next commit, at the latest after a second, as it is then."""
        ...

    def wall_of(self, monotonic: float) -> int:
        """Return the wall clock, ns, at a monotonic time in seconds."""
        ...

    def monotonic_of(self, wall: int) -> float:
        """Return the monotonic time, seconds, of a wall clock in ns."""
        ...
