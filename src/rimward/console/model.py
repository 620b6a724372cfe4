"""What the console saw at one moment, whichever process it came from."""

from msgspec import Struct

from rimward.cloud.ingest.figures import IngestFigures
from rimward.cloud.ledger.accounting import Balance
from rimward.observe import Snapshot, Trace

__all__ = ["Balance", "Link", "Problem", "Process", "Seen"]


class Process(Struct, frozen=True):
    """One process that the supervisor looks after."""

    name: str
    pid: int | None  # None: it does not run
    state: str = "ready"  # or "starting", "stopping", "waiting" for its next start, "ended"
    restarts: int = 0
    since: int | None = None  # wall ns of its last start
    halted: bool = False  # it is there and made to stand still
    over: str = ""  # the function that runs past its time in it, and holds up all else


class Link(Struct, frozen=True):
    """The way from the node to the hub, as the deep process measures it."""

    connected: bool
    at: int  # wall ns of these figures
    rtt: float | None = None  # seconds
    errors: str = ""  # what went wrong since its process started, by name
    verdict: str = ""  # of the hub on this node's outbox: "ok", "rekey" or "quarantined"
    denied: str = ""  # the subject that the bus refused last


class Seen(Struct, frozen=True):
    """Everything that one look brought; a part that could not be read is None or empty."""

    at: int  # wall ns
    snapshot: Snapshot | None = None
    traces: tuple[Trace, ...] = ()
    processes: tuple[Process, ...] | None = None
    link: Link | None = None
    ledger: tuple[Balance, ...] | None = None
    hub_at: int | None = None  # wall ns of the hub's last sign of life
    ingest_at: dict[str, int | None] = {}  # the same of each process of ingest, by its name
    ingest: tuple[IngestFigures, ...] = ()
    hub_counts: dict[str, int] = {}  # by name, as hub.db has them
    unreadable: tuple[str, ...] = ()  # parts whose files are there and make no sense, with the reason


class Problem(Struct, frozen=True):
    """One thing that is wrong, in words, with what to do about it."""

    grave: bool  # True: data may be lost or devices are not served
    what: str
    cure: str = ""
