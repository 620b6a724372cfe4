"""The ledger's equation (GUARANTEES §3): what nodes have forwarded, and where each of these rows is.

    forwarded = stored + waiting + dead-lettered + expired + erased + discarded(cause)

Each term is counted where its rows are: nothing is what is left over from the others.
"""

from collections import Counter
from collections.abc import Iterable
from math import ceil

from msgspec import Struct

from rimward.cloud.ledger.stored import Selection, Stored
from rimward.wire.account import Account, LaneAccount
from rimward.wire.erasing import ERASED


class Balance(Struct, frozen=True):
    """The ledger's equation for one fact of one node."""

    node: str
    fact: str
    forwarded: int
    stored: int | None  # None: the lake could not be read
    waiting: int | None
    dead_lettered: int = 0
    expired: int = 0
    erased: int = 0
    discarded: int = 0
    oldest: int | None = None  # wall ns at which the oldest row that waits was taken
    causes: dict[str, int] = {}  # of what was discarded
    unknown: tuple[int, int] | None = None  # rows that a lost disk took along: at least, at most
    as_of: int | None = None  # wall ns of the node's report; None: its disk was read just now
    settled: bool = False  # a person has taken note of what is unknown; it stays so

    @property
    def system(self) -> bool:
        """Whether these are a node's own records: they have a ledger like any rows, and are counted apart."""
        return self.fact.startswith("_")

    @property
    def missing(self) -> int | None:
        """How many rows no side of the equation names; None while one of them is unknown."""
        if self.stored is None or self.waiting is None or self.unknown is not None:
            return None
        named = self.stored + self.waiting + self.dead_lettered + self.expired + self.erased + self.discarded
        return self.forwarded - named


def selections(accounts: Iterable[Account]) -> list[Selection]:
    """Return what is to be counted for accounts: each outbox's rows, and of one that reported, up to then.

    An outbox is then measured by what it knew when it reported, and not by what came since.
    """
    return [
        Selection(
            one.node,
            one.first,
            one.end,
            tuple(lane.lane for lane in one.lanes),
            None if one.at is None or one.lost else {lane.lane: lane.mark for lane in one.lanes},
        )
        for one in accounts
    ]


def balances(accounts: Iterable[Account], stored: Iterable[Stored]) -> tuple[Balance, ...]:
    """Return the balance of every fact and node that either side knows."""
    tables = {(one.node, one.fact, one.first): one for one in stored}
    sums: dict[tuple[str, str], _Sum] = {(node, fact): _Sum() for node, fact, _ in tables}
    for account in accounts:
        for fact in dict.fromkeys(lane.table for lane in account.lanes):
            lanes = [lane for lane in account.lanes if lane.table == fact]
            table = tables.pop((account.node, fact, account.first), None)
            sums.setdefault((account.node, fact), _Sum()).add(account, lanes, table)
    for (node, fact, _), table in tables.items():
        sums[node, fact].add(None, [], table)  # no outbox of the node knows of these
    return tuple(one.balance(*key) for key, one in sorted(sums.items()))


class _Sum:
    """One fact of one node, over all its outboxes."""

    def __init__(self) -> None:
        self.forwarded = self.stored = self.waiting = self.dead = self.expired = self.erased = 0
        self.causes: Counter[str] = Counter()
        self.waits: list[int] = []  # wall ns
        self.unknown: tuple[int, int] | None = None
        self.settled = True
        self.as_of: int | None = None

    def add(self, account: Account | None, lanes: list[LaneAccount], table: Stored | None) -> None:
        """Take one outbox's lanes of the fact, and what the lake has of them."""
        causes = _causes(lanes, table)
        forwarded, waiting = sum(lane.forwarded for lane in lanes), 0
        stored, dead = (table.rows, table.dead) if table else (0, 0)
        if account is not None and account.lost:
            low = forwarded - stored - dead - sum(causes.values())
            forwarded -= min(0, low)  # more has come than it had told of
            self._lose(account, max(0, low))
        elif lanes:
            waiting = sum(self._waits(lane, table) for lane in lanes)
            self.as_of = account.at if account is not None else None
        self.forwarded += forwarded
        self.stored += stored
        self.waiting += waiting
        self.dead += dead
        self.causes.update(causes)
        if table is not None:  # the table counts them by node: each outbox's snapshot says the same
            self.expired, self.erased = max(self.expired, table.expired), max(self.erased, table.erased)

    def _waits(self, lane: LaneAccount, table: Stored | None) -> int:
        """Return how many rows of a lane are on the node's disk alone: counted there, or as it reported."""
        if lane.held is None:
            self.waits += [lane.oldest] if lane.waiting and lane.oldest is not None else []
            return lane.waiting
        mark = table.mark(lane.lane) if table is not None else (0, 0)
        beyond = [(rows, one.at) for one in lane.held if (rows := one.beyond(mark))]
        self.waits += [at for _, at in beyond]
        return sum(rows for rows, _ in beyond)

    def _lose(self, account: Account, low: int) -> None:
        """Take that an outbox is gone: what it said it had and has not come, and what it may not have told.

        At most: as many as it could have taken until the next outbox was heard of, had it never been faster
        than the fastest that it reported. Never 0: nobody can know.
        """
        assert account.at is not None
        silent = max(0, (account.replaced_at or account.at) - account.at) / 1e9
        high = low + max(1, ceil(account.rate * silent))
        self.settled = self.settled and account.settled
        before = self.unknown or (0, 0)
        self.unknown = (before[0] + low, before[1] + high)

    def balance(self, node: str, fact: str) -> Balance:
        """Return the equation."""
        erased = self.erased + self.causes.pop(ERASED, 0)  # in the table, and before it came there
        causes = {cause: rows for cause, rows in sorted(self.causes.items()) if rows}
        return Balance(
            node, fact, self.forwarded, self.stored, self.waiting, self.dead, self.expired, erased,
            sum(causes.values()), min(self.waits, default=None), causes, self.unknown, self.as_of,
            self.unknown is not None and self.settled,
        )  # fmt: skip


def _causes(lanes: list[LaneAccount], table: Stored | None) -> Counter[str]:
    """Return what was given up, by cause: as the node counts it, or as records of it came, if that is more.

    The node counts a loss when it happens and its record comes later; damage that only a reader of its disk
    finds is known by the record alone.
    """
    told: Counter[str] = Counter()
    for lane in lanes:
        told.update(lane.discarded)
    came = table.causes if table is not None else {}
    return Counter({cause: max(told[cause], came.get(cause, 0)) for cause in {*told, *came}})
