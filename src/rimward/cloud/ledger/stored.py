"""What the lake holds of one fact, as the ledger counts it; reading this needs nothing of the cloud extra."""

from collections.abc import Mapping

from msgspec import Struct

from rimward.wire.account import EVER
from rimward.wire.source import Place


class Stored(Struct, frozen=True):
    """One fact of one node in one snapshot of its table."""

    node: str
    fact: str
    rows: int  # counted in the table
    dead: int  # counted in the dead letters
    counter: int  # the mark
    seq: int
    lost: int = 0  # rows that the node says will never come
    expired: int = 0  # rows whose retention was over, as the table counts them
    erased: int = 0
    causes: dict[str, int] = {}  # of what is lost
    marks: dict[str, Place] = {}  # of all lanes that end in the table
    first: int = 0  # rows of epochs from this counter
    end: int = EVER  # and below this one

    def mark(self, lane: str) -> Place:
        """Return how far the table has a lane."""
        return self.marks.get(lane, (self.counter, self.seq) if lane == self.fact else (0, 0))


class Selection(Struct, frozen=True):
    """Which rows of a node are counted, by their places."""

    node: str
    first: int = 0  # counter
    end: int = EVER
    lanes: tuple[str, ...] = ()  # whose marks are wanted
    until: Mapping[str, Place] | None = None  # up to these marks; None: all

    def takes(self, lane: str, counter: int, first: int, last: int) -> bool | None:
        """Tell whether rows `first` to `last` are among them: all, none, or (None) some."""
        if not self.first <= counter < self.end:
            return False
        if self.until is None:
            return True
        mark = self.until.get(lane, (0, 0))
        if (counter, last) <= mark:
            return True
        return False if (counter, first) > mark else None
