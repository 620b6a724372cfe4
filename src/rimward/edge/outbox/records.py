"""What one message's transaction may hold."""

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Struct

from rimward.app.manifest import Keeping


class Put(NamedTuple):
    """A durable value under a key; None forgets it."""

    space: str
    key: str
    value: bytes | None


class DeadLetter(Struct, gc=False):
    """An event that could not be worked on, kept with its reason."""

    at: int  # ns
    reason: str
    detail: str
    protocol: str
    source: str
    sender: str
    function: str | None
    payload: bytes


class Forward(Struct, gc=False):
    """One fact on its way to its table."""

    fact: str  # the table
    schema: str  # fingerprint
    priority: str
    received: int  # ns
    event: str
    time: int | None  # ns
    trace: bytes | None
    replayed: bool
    values: tuple[Any, ...]
    keeping: Keeping = Keeping()
    mono: int | None = None  # monotonic ns at which the event came; the commit's stamp then tells `received`
    lane: str = ""  # set with the number, when it is committed
    seq: int = 0


class Transaction:
    """All that one message commits, together."""

    __slots__ = ("dead", "forwards", "puts", "undo")

    def __init__(self) -> None:
        self.forwards: list[Forward] = []
        self.puts: list[Put] = []
        self.dead: list[DeadLetter] = []
        self.undo: list[Callable[[], None]] = []  # run in reverse if the commit fails
