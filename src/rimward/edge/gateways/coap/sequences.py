"""Sender sequence numbers of OSCORE: each is used once, whatever happens to the process or its disk.

Numbers are taken from a stretch whose end is on disk before the first of it is used, so a process that was
killed goes on behind all that it can have used. A new process begins no lower than the wall clock says, which
covers a disk that was lost or put back, for a node that takes fewer than `PACE` numbers a second.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from rimward.edge.dispatch.types import Entry, Ticket
from rimward.protocols.coap.oscore import MAX_SEQUENCE

SPACE = "oscore"
STRETCH = 1024  # numbers that one entry on disk allows
LEFT = 256  # numbers left when the next stretch is asked for
WAITING = 256  # messages of one context that wait for a number
PACE = 256  # numbers a second
SINCE = 1_767_225_600  # seconds of the wall clock: 2026 begins


class Disk(Protocol):
    """What the gateway asks of the node's disk."""

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space held when the node started."""
        ...

    def keep(self, entries: Sequence[Entry]) -> Ticket:
        """Put entries on disk together; the ticket is done when they are there."""
        ...

    def wall_of(self, monotonic: float) -> int:
        """Return the wall clock, ns, at a monotonic time in seconds."""
        ...


class Numbers:
    """The numbers of one sender key."""

    def __init__(self, name: str, first: int, disk: Disk) -> None:
        self._name = name
        self._disk = disk
        self._next = self._end = first
        self._asked = False
        self._waiting: list[Callable[[], None]] = []

    def take(self) -> int | None:
        """Return a number that was never used; None where the disk has to allow further ones first."""
        if self._end - self._next <= LEFT:
            self._ask()
        if self._next >= self._end:
            return None
        self._next += 1
        return self._next - 1

    def soon(self, told: Callable[[], None]) -> bool:
        """Have `told` called when the disk has answered; False where too much waits already."""
        if not self._asked or len(self._waiting) >= WAITING:
            return False
        self._waiting.append(told)
        return True

    def _ask(self) -> None:
        if self._asked or self._end > MAX_SEQUENCE:
            return
        self._asked = True
        end = min(self._end + STRETCH, MAX_SEQUENCE + 1)
        ticket = self._disk.keep([(SPACE, self._name, end.to_bytes(6, "big"))])
        if ticket.done:
            self._answered(ticket, end)
        else:
            ticket.on_done = lambda done: self._answered(done, end)

    def _answered(self, ticket: Ticket, end: int) -> None:
        self._asked = False
        if ticket.refusal is None:
            self._end = end
        waiting, self._waiting = self._waiting, []
        for told in waiting:
            told()


class SequenceNumbers:
    """All of them, by the name of the sender's key; they outlive the contexts, which are made anew."""

    def __init__(self, disk: Disk, clock: Callable[[], int]) -> None:
        """`clock` is monotonic ns."""
        self._disk = disk
        self._clock = clock
        self._stored: dict[str, bytes] | None = None
        self._found: dict[str, Numbers] = {}

    def of(self, name: str) -> Numbers:
        """Return a key's numbers."""
        found = self._found.get(name)
        if found is None:
            if self._stored is None:
                self._stored = self._disk.load(SPACE)
            stored = int.from_bytes(self._stored.get(name, b""), "big")
            seconds = self._disk.wall_of(self._clock() / 1e9) // 1_000_000_000 - SINCE
            found = self._found[name] = Numbers(name, max(stored, seconds * PACE, 0), self._disk)
        return found
