"""What dispatch stands on: the seam to the outbox, the clocks, and what one topic runs."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from rimward.app.manifest import FactSpec
from rimward.edge.clock import NodeClock
from rimward.edge.dispatch.functions import Bound, FunctionRun
from rimward.edge.dispatch.streams import BoundInlet
from rimward.edge.dispatch.types import Request, Sender, Ticket
from rimward.edge.outbox import Forward, Transaction
from rimward.events import RimwardError
from rimward.wire.functions import Ask, Caller

TOPICS_CACHED = 16_384  # topics whose functions are remembered; beyond it the memory starts anew
NODE = Sender("node", "node")


class OutboxPort(Protocol):
    """The seam to the deep path: all that the fast path knows of it."""

    def append(self, tx: Transaction, done: Callable[[RimwardError | None], None] | None) -> None:
        """Commit a transaction; `done` is called when it is on disk, in order."""
        ...

    def forward(self, rows: list[Forward], done: Callable[[RimwardError | None], None]) -> None:
        """Commit as `append` does what is rows and nothing else."""
        ...

    def admit(self, spec: FactSpec, about: int, values: tuple[object, ...], /) -> None:
        """Raise OutboxFull where there is no room for a row of about so many bytes; RowTooLarge: never."""
        ...

    def fill(self) -> float:
        """Return how full it is, from 0 to 1."""
        ...

    def touch(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        """Write a value with the next commit."""
        ...

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space holds."""
        ...

    def find(self, space: str, key: str) -> bytes | None:
        """Return a value as it was put or touched last; raises OutboxBroken."""
        ...

    def keys(self, space: str, since: str, until: str, most: int) -> list[str]:
        """Return the first committed keys from `since` to before `until` of which nothing newer waits."""
        ...

    def page(self, space: str, since: str, most: int) -> tuple[list[tuple[str, bytes]], str | None]:
        """Return some keys from `since` on with their values as they were put last, and where to go on."""
        ...

    def count(self, space: str) -> int:
        """Return how many keys of a space are committed."""
        ...


class Workers(Protocol):
    """Where calls go that do not run on the loop."""

    def ask(self, function: str, key: str, ask: Ask, caller: Caller) -> bool:
        """Have a call run by the worker of its key; False where too many calls of the function wait."""
        ...


class Conduct(Protocol):
    """Who is told how functions behave, and may move one to where it hurts nobody."""

    def stopped(self, function: str, place: str, own: int) -> None:
        """A call was stopped at a place in its code, after so many ns of its own time."""
        ...

    def overran(self, function: str) -> None:
        """A call took longer than its budget by its own time alone."""
        ...

    def died(self, function: str, event: int) -> None:
        """The worker that ran a call died of it; `event` is the digest of what it worked on."""
        ...


class Unwatched:
    """Nobody is told."""

    def stopped(self, function: str, place: str, own: int) -> None:
        """Do nothing."""

    def overran(self, function: str) -> None:
        """Do nothing."""

    def died(self, function: str, event: int) -> None:
        """Do nothing."""


class Ear(Protocol):
    """Hears what comes in while a recording is on, and lets it go on to where it came from."""

    listens: bool  # False while it hands on what it has heard

    def request(self, request: Request) -> Ticket:
        """Hear a request and have it served."""
        ...

    def beat(self, run: FunctionRun) -> None:
        """Hear that a function runs at its beat, and have it run."""
        ...


class Clocks(Struct, frozen=True):
    """The node's two clocks, injected."""

    monotonic: Callable[[], int]  # ns
    wall: Callable[[], int]  # ns since the epoch
    node: NodeClock | None = None  # what is known of the wall clock; None: it is believed


class Listeners(Struct):
    """What one topic runs."""

    bounds: list[tuple[Bound, str | None]]  # with the payload's time field
    streams: list[BoundInlet]
    answers: bool = False  # devices acknowledge commands here
    topic: str | None = None  # that has them; None: a request, or what no message runs
