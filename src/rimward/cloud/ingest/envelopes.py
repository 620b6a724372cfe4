"""An envelope as ingest has it: whose it is, what it says of itself, and its rows as they came."""

from typing import Any

from msgspec import Struct

from rimward.wire import Header, Lane, Mark


class Envelope(Struct):
    """One upload; where its bytes can't be read, the header holds what its id says."""

    lane: Lane
    header: Header
    rows: bytes  # msgpack, an array; nothing of it was looked at yet
    received_at: int = 0  # wall ns
    unreadable: tuple[str, bytes] | None = None  # the reason, and the bytes


class Outcome(Struct):
    """What became of a batch, in rows; duplicates, gaps and clashes in envelopes."""

    marks: list[tuple[str, Mark]]  # (node, mark)
    stored: int = 0
    dead: int = 0
    lost: int = 0
    erased: int = 0
    duplicates: int = 0
    gaps: int = 0
    clashes: int = 0
    version: int = 0
    taken: tuple[Envelope, ...] = ()  # those that the commit brought
    rows: Any = None  # the fact's rows that the commit brought, as Arrow; None where there is no table
    seen: dict[str, tuple[str, int]] = {}  # the tables as they are now: id and version
    early: tuple[Envelope, ...] = ()  # those that were gaps
    foreign: tuple[Envelope, ...] = ()  # those that were clashes
