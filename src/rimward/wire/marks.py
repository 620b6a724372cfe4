"""Marks: how far the lake has committed a node's lanes, on stable storage."""

import msgspec
from msgspec import Struct


class Mark(Struct, frozen=True):
    """Everything of a fact up to (counter, seq) is in the lake; (0, 0): nothing of it is."""

    fact: str
    table: str  # the Delta table's id
    generation: int  # raised when a lake is restored; a mark of an older one deletes nothing
    version: int  # the Delta table's version
    counter: int
    nonce: int  # of the counter's epoch; rows of another with the same counter are not in the lake
    seq: int

    @property
    def reached(self) -> tuple[int, int]:
        """The last row in the lake, as (counter, seq)."""
        return self.counter, self.seq


class Pace(Struct, frozen=True):
    """How fast the lake takes the rows of one lane, and how long they may stand on the bus for it."""

    rate: float  # rows a second
    standing: float  # seconds

    def rows(self, way: float) -> float:
        """Return how many rows a lane may have between outbox and lake; `way` is the link's round trip, s."""
        return self.rate * (self.standing + way)


class Marks(Struct, frozen=True):
    """One node's marks."""

    node: str
    marks: tuple[Mark, ...]
    hub: str = ""  # id of the store of the hub whose lake is meant, where a node keeps them
    pace: Pace | None = None  # of each lane that has a backlog, as the hub can take it; None: it is not said

    def encode(self) -> bytes:
        """Return them as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Marks":
        """Read marks.

        Raises:
            ValueError: they have not the form.
        """
        return msgspec.msgpack.decode(data, type=cls)
