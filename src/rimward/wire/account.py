"""A node's part of the ledger, as its own disk tells it, or as it reported last."""

from msgspec import Struct

from rimward.wire.lanes import table_of
from rimward.wire.source import Place

EVER = 1 << 62  # beyond every counter


class Held(Struct, frozen=True):
    """Rows of a lane that lie on a node's disk together."""

    counter: int
    first: int
    last: int
    at: int  # wall ns at which they were committed

    def beyond(self, mark: Place) -> int:
        """Return how many of them a mark has not reached."""
        if (self.counter, self.last) <= mark:
            return 0
        return self.last - max(self.first - 1, mark[1] if self.counter == mark[0] else 0)


class LaneAccount(Struct, frozen=True):
    """One lane of one outbox."""

    lane: str
    forwarded: int
    discarded: dict[str, int] = {}  # by cause
    held: tuple[Held, ...] | None = None  # what lies on the disk; None: the disk is not at hand
    waiting: int = 0  # as it was reported, where the disk is not at hand
    oldest: int | None = None  # the same: wall ns
    mark: Place = (0, 0)  # the mark that the node knew when it reported

    @property
    def table(self) -> str:
        """The table that the rows end in."""
        return table_of(self.lane)


class Account(Struct, frozen=True):
    """One outbox of one node: another one after its disk was lost."""

    node: str
    outbox: str  # its id
    lanes: tuple[LaneAccount, ...]
    at: int | None = None  # wall ns of the report; None: read from the disk just now
    first: int = 0  # counter of its first epoch; what is before is an earlier outbox's
    end: int = EVER  # the same of the outbox after it
    replaced_at: int | None = None  # wall ns at which the hub first heard of the outbox after it
    settled: bool = False  # a person has taken note that it is lost
    rate: float = 0.0  # the most rows a second that it forwarded between two reports, over all lanes

    @property
    def lost(self) -> bool:
        """Whether another outbox has taken its place: what waited in it is gone."""
        return self.end != EVER
