"""What the console saw at one moment, whichever process it came from."""

from msgspec import Struct

from rimward.observe import Snapshot, Trace


class Process(Struct, frozen=True):
    """One process that the supervisor looks after."""

    name: str
    pid: int | None  # None: it does not run
    state: str = "ready"  # or "starting", "stopping", "waiting" for its next start, "ended"
    restarts: int = 0
    since: int | None = None  # wall ns of its last start
    halted: bool = False  # it is there and made to stand still


class Link(Struct, frozen=True):
    """The way from the node to the hub, as the deep process measures it."""

    connected: bool
    at: int  # wall ns of these figures
    rtt: float | None = None  # seconds
    errors: str = ""  # what went wrong since its process started, by name


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

    @property
    def system(self) -> bool:
        """Whether these are a node's own records: they have a ledger like any rows, and are counted apart."""
        return self.fact.startswith("_")

    @property
    def missing(self) -> int | None:
        """How many rows no side of the equation names; None while one of them is unknown."""
        if self.stored is None or self.waiting is None:
            return None
        named = self.stored + self.waiting + self.dead_lettered + self.expired + self.erased + self.discarded
        return self.forwarded - named


class Seen(Struct, frozen=True):
    """Everything that one look brought; a part that could not be read is None or empty."""

    at: int  # wall ns
    snapshot: Snapshot | None = None
    traces: tuple[Trace, ...] = ()
    processes: tuple[Process, ...] | None = None
    link: Link | None = None
    ledger: tuple[Balance, ...] | None = None
    hub_at: int | None = None  # wall ns of the hub's last sign of life
    ingest_at: int | None = None  # wall ns of ingest's last sign of life
    unreadable: tuple[str, ...] = ()  # parts whose files are there and make no sense, with the reason


class Problem(Struct, frozen=True):
    """One thing that is wrong, in words, with what to do about it."""

    grave: bool  # True: data may be lost or devices are not served
    what: str
    cure: str = ""
