"""What is to be erased, as the hub keeps it and as nodes are told: never the value, but what knows it again.

A row falls under an erasure when a field has the value, unless the row is known to be of an event after it:
somebody who was erased may come again. An erased row keeps its place in its lane and has no values.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from rimward.wire.envelope import Row

KNOWN = ("synced", "holdover")  # clocks by which it can be told what was later
ERASED = "erased"  # why a row will never come, in the words of `_gap`


class Erasure(Struct, frozen=True):
    """One erasure."""

    id: str
    at: int  # wall ns of the hub at which it was asked for
    field: str
    salt: str
    digest: str  # sha256 of salt and value, hexadecimal: the list must not become what was to be forgotten
    table: str | None = None  # None: every fact that has the field

    def takes(self, value: Any) -> bool:
        """Tell whether a field's value is the one that was erased."""
        return value is not None and _digest(self.salt, text_of(value)) == self.digest

    def concerns(self, table: str) -> bool:
        """Tell whether rows of a table may fall under it."""
        return self.table in (None, table)


class Order(Struct, frozen=True):
    """An erasure as a node carries it out: where the field is in rows of each form."""

    erasure: Erasure
    columns: dict[str, dict[str, int]] = {}  # by table and fingerprint: the value's index in a row


class Orders(Struct, frozen=True):
    """All erasures of a hub."""

    known: str  # what names this list
    orders: tuple[Order, ...] = ()

    def encode(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Orders":
        """Read it.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.json.decode(data, type=cls)


class Erased(Struct, frozen=True):
    """What a node has carried out."""

    known: str = ""  # what names the list
    rows: int = 0  # of its outbox, over all lists
    dead: int = 0  # dead letters
    at: int = 0  # wall ns of the node

    def encode(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Erased":
        """Read it.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.json.decode(data, type=cls)


def erasure(id_: str, at: int, key: tuple[str | None, str, str], salt: str) -> Erasure:
    """Return an erasure of a key: a table or None, a field, and the value as text."""
    table, field, value = key
    return Erasure(id_, at, field, salt, _digest(salt, value), table)


def name_of(erasures: Iterable[Erasure]) -> str:
    """Return what names a list of erasures; "" where there are none."""
    ids = sorted(one.id for one in erasures)
    return sha256("\n".join(ids).encode()).hexdigest()[:16] if ids else ""


def text_of(value: Any) -> str:
    """Return a field's value as it is written in a key."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def is_later(row: Row, at: int) -> bool:
    """Tell whether a row is known to be of an event after a moment, wall ns."""
    if row.replayed or row.received is None or row.clock not in KNOWN:
        return False
    return row.received > at and (row.time is None or row.time > at)


def blank(row: Row) -> Row:
    """Return a row's place without what it said."""
    return msgspec.structs.replace(row, values=(), event="", trace=None)


def _digest(salt: str, value: str) -> str:
    return sha256(f"{salt}\n{value}".encode()).hexdigest()
