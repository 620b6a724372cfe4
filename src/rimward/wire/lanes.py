"""Lanes: one fact's sequence from one node and epoch, and the version by which the lake remembers it."""

import re

from msgspec import Struct

SEQ_BITS = 40  # 10^12 rows a fact and epoch
HUB = "hub"  # the node name of rows that the hub's own functions forward; no node may have it
COUNTER_BITS = 23  # 8 million starts; both together are a positive int64
_EPOCH = re.compile(r"([1-9][0-9]{0,6})-([0-9a-f]{8})", re.ASCII)


class Epoch(Struct, frozen=True, order=True):
    """One start of an outbox's writer: a counter, and a nonce that no copy of the disk can repeat."""

    counter: int  # from 1
    nonce: int  # 32 bits

    def __str__(self) -> str:
        return f"{self.counter}-{self.nonce:08x}"

    @classmethod
    def parse(cls, text: str) -> "Epoch":
        """Read an epoch's text.

        Raises:
            ValueError: it is none.
        """
        match = _EPOCH.fullmatch(text)
        if match is None or int(match[1]) >= 1 << COUNTER_BITS:
            raise ValueError(f"{text!r} is not an epoch, as 12-3fa9c2d1 is")
        return cls(int(match[1]), int(match[2], 16))


class Lane(Struct, frozen=True):
    """Where rows are numbered without gaps, from 1.

    A fact has one lane, named as its table; where new rows may overtake a backlog it has more, `too_warm-1`
    and so on, that are sent and counted each by itself and end in the same table.
    """

    node: str
    epoch: Epoch
    fact: str  # the lane's name

    @property
    def table(self) -> str:
        """The table that its rows end in."""
        return table_of(self.fact)


def table_of(lane: str) -> str:
    """Return the table of a lane's name; no table's name has a dash."""
    return lane.partition("-")[0]


def transaction_id(node: str, fact: str) -> str:
    """Return the application id under which the lake remembers a node's mark."""
    return f"{node}:{fact}"


def transaction_version(counter: int, seq: int) -> int:
    """Return an epoch's counter and a sequence number as one growing number."""
    assert 0 <= seq < 1 << SEQ_BITS
    assert 0 <= counter < 1 << COUNTER_BITS
    return counter << SEQ_BITS | seq


def split_version(version: int) -> tuple[int, int]:
    """Return a transaction version's counter and sequence number."""
    return version >> SEQ_BITS, version & ((1 << SEQ_BITS) - 1)
