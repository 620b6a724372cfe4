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


class Marks(Struct, frozen=True):
    """One node's marks."""

    node: str
    marks: tuple[Mark, ...]
    hub: str = ""  # id of the store of the hub whose lake is meant, where a node keeps them

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
