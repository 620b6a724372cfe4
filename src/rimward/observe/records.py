"""What a process tells about itself: kept traces and snapshots of its figures. Durations in stages are ns."""

from msgspec import Struct, field


class Stage(Struct, gc=False):
    """One part of an event's way."""

    name: str
    start: int  # wall ns since the epoch
    end: int  # wall ns since the epoch


class RowRef(Struct, gc=False):
    """A row that an event made, as its lane knows it."""

    fact: str  # the table's name
    epoch: str  # "12-3fa9c2d1"
    seq: int


class Trace(Struct):
    """One event's way through the node, kept because it was slow, failed, or a sample."""

    id: str  # 32 hexadecimal digits (W3C Trace Context)
    node: str
    function: str
    source: str  # topic or path
    sender: str
    at: int  # wall ns of the read of its bytes
    stages: list[Stage]
    rows: list[RowRef]
    actions: int = 0
    error: str | None = None
    over_budget: bool = False


class FunctionStats(Struct):
    """One function's figures since the process started."""

    calls: int
    errors: int
    overruns: int
    budget: float | None  # seconds
    stages: dict[str, dict[int, int]]  # sparse histograms by stage: "decode", "function", "commit", "total"
    stopped: int = 0  # calls that were over their time


class Firings(Struct):
    """What one function waits for that no message runs."""

    pending: int
    next: int | None  # wall ns; None where nothing is pending, or the clock is not believed


class WorkerStats(Struct):
    """The processes of one function, since the node's process started."""

    pids: list[int]
    waiting: int  # calls that run or wait
    calls: int  # that have ended
    busy: int = 0  # refused because too many waited
    died: int = 0
    recycled: int = 0
    died_at: int = 0  # wall ns of the last death; 0: there was none
    died_of: str = ""  # in words


class Snapshot(Struct):
    """All figures of a node at one moment."""

    at: int  # wall ns
    started_at: int  # wall ns
    node: str
    app: str
    digest: str
    functions: dict[str, FunctionStats]
    gateways: dict[str, dict[str, int]]
    outbox: dict[str, float]
    counters: dict[str, int]
    health: dict[str, str]  # by part: what is wrong; empty when nothing is
    firings: dict[str, Firings] = field(default_factory=dict[str, Firings])  # by function
    workers: dict[str, WorkerStats] = field(default_factory=dict[str, WorkerStats])  # by function
    enforced: dict[str, str] = field(default_factory=dict[str, str])  # of a confinement: empty, or why not
    enforced_by: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict[str, str])  # where functions run, by name
