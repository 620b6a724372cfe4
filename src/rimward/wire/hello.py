"""What a node and its hub tell each other when the uplink comes up, and every few seconds after.

A node asks on `hello_subject`, by request-reply in its own inbox: which rights it has, how far the lake is,
whether its identity is its own. It reports its part of the ledger in the same breath.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from rimward.wire.erasing import Erased, Orders
from rimward.wire.marks import Mark

Verdict = Literal["ok", "rekey", "quarantined"]


class Tally(Struct, frozen=True):
    """One lane's part of the ledger as its node counts it, over the life of its outbox's file."""

    lane: str
    forwarded: int  # rows that were numbered and committed
    discarded: dict[str, int] = {}  # by cause: "shed", "expired", "corrupt", "forgotten", …
    waiting: int = 0  # rows that are on the node's disk and beyond the mark it knows
    oldest: int | None = None  # wall ns at which the oldest row that waits was taken


class Hello(Struct, frozen=True):
    """A node's own account of itself."""

    node: str
    site: str
    boot: str  # of the sending process
    outbox: str  # id of the outbox's file: another one after its disk was lost
    epochs: tuple[tuple[int, int], ...]  # (counter, nonce) of every epoch that may have rows, oldest first
    marks: tuple[Mark, ...] = ()  # the newest that it has heard
    tallies: tuple[Tally, ...] = ()
    at: int = 0  # wall ns of the node
    erased: Erased = Erased()  # what it has carried out of the hub's erasures

    def encode(self) -> bytes:
        """Return it as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Hello":
        """Read one.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.msgpack.decode(data, type=cls)


class Welcome(Struct, frozen=True):
    """The hub's answer.

    "rekey": another outbox has used one of the counters, or has gone past them; whoever asks moves above
    `highest` the rows that can't be taken any more: of epochs that `epochs` names with another nonce, and
    those beyond what `left` says of their lane (GUARANTEES §2). "quarantined": another outbox of this name
    is live now; nothing of this one is taken until somebody has told them apart.
    """

    verdict: Verdict
    hub: str  # id of the hub's store: another one after it was made anew
    highest: int  # the highest counter that the hub knows of this node
    marks: tuple[Mark, ...] = ()
    reason: str = ""
    at: int = 0  # wall ns of the hub
    epochs: tuple[tuple[int, int], ...] = ()  # of the asker's counters and nonces: as the hub knows them
    left: dict[str, dict[int, int]] = {}  # by lane and counter, of counters it went past: the last row it has
    erase: Orders | None = None  # every erasure, where the asker has not carried all of them out

    def encode(self) -> bytes:
        """Return it as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Welcome":
        """Read one.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.msgpack.decode(data, type=cls)
