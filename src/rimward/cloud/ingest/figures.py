"""How a process of ingest is: how long its commits take, and what somebody should hear of.

It writes that once a second to `hub/NAME.json`; people's views judge it, and whoever reads it needs nothing
of the cloud extra.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.observe import Histogram, Logger, get_logger
from rimward.observe.life import is_ingest
from rimward.observe.threads import in_thread

log: Logger = get_logger("rimward.ingest")

SLOW = 500_000_000  # ns: a commit's p99 beyond it is an alarm
ENOUGH = 20  # commits that a p99 is of; one slow one among a few is none
WINDOW = 60_000_000_000  # ns after which commits begin to be forgotten; twice that, and they are
LASTING = 10_000_000_000  # ns that rows are missing, or a share has no process, before that is an alarm
EVERY = 1.0  # seconds between two looks


class IngestFigures(Struct, frozen=True):
    """One process of ingest at one moment."""

    name: str
    at: int  # wall ns
    commits: int = 0  # of the last minute or two
    commit_p50_ms: float = 0.0
    commit_p99_ms: float = 0.0
    slow: bool = False  # the p99 is beyond what it may be
    gaps: tuple[str, ...] = ()  # NODE/LANE of which rows have been missing for a while
    quarantined: tuple[str, ...] = ()  # nodes of which an outbox is
    leases_lost: int = 0  # since the process began
    without_lease: bool = False  # its own share of the nodes is another's, and has been for a while


class Commits:
    """The times of the last commits, of one window and the one before."""

    def __init__(self, now: Callable[[], int]) -> None:
        """`now` is monotonic, ns."""
        self._now = now
        self._since = now()
        self._this, self._before = Histogram(), Histogram()

    def record(self, took: int) -> None:
        """Take one commit's time, ns."""
        self._turn()
        self._this.record(took)

    def both(self) -> Histogram:
        """Return the last commits' times."""
        self._turn()
        found = Histogram()
        found.merge(self._this)
        found.merge(self._before)
        return found

    def _turn(self) -> None:
        passed = self._now() - self._since
        if passed < WINDOW:
            return
        self._before = self._this if passed < 2 * WINDOW else Histogram()
        self._this = Histogram()
        self._since = self._now()


class Lasting:
    """Which of the things that are seen again and again have been there for a while."""

    def __init__(self, now: Callable[[], int]) -> None:
        """`now` is monotonic, ns."""
        self._now = now
        self._since: dict[str, int] = {}

    def look(self, there: Iterable[str]) -> tuple[str, ...]:
        """Take what is there now; return what has been for long."""
        now = self._now()
        self._since = {name: self._since.get(name, now) for name in sorted(there)}
        return tuple(name for name, since in self._since.items() if now - since >= LASTING)


class Watched(Struct):
    """What a look asks: each is a reading of something that another part keeps."""

    gaps: Callable[[], Iterable[tuple[str, str]]]  # (node, lane)
    quarantined: Callable[[], Iterable[str]]
    leases_lost: Callable[[], int]
    has_lease: Callable[[], bool]


class Telling:
    """A part of ingest: looks at it once a second, says what is wrong, and writes it down."""

    def __init__(
        self, data: Path, name: str, watched: Watched, wall: Callable[[], int], now: Callable[[], int]
    ) -> None:
        """`wall` and `now`, the monotonic clock, are ns; `data` is the hub's folder."""
        self._path = path_of(data, name)
        self._name = name
        self._watched = watched
        self._wall = wall
        self.commits: Commits = Commits(now)
        self._missing, self._unheld = Lasting(now), Lasting(now)
        self._was_slow = False

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await in_thread(self.write, self.look())
            await asyncio.sleep(EVERY)

    def look(self) -> IngestFigures:
        """Return the figures as they are now; commits that have become slow are logged once."""
        times, watched = self.commits.both(), self._watched
        p99 = times.percentile(99)
        slow = times.count >= ENOUGH and p99 > SLOW
        if slow and not self._was_slow:
            log.error("commits are slow", p99_ms=round(p99 / 1e6), limit_ms=SLOW // 1_000_000)
        elif self._was_slow and not slow:
            log.info("commits are fast again", p99_ms=round(p99 / 1e6))
        self._was_slow = slow
        return IngestFigures(
            name=self._name,
            at=self._wall(),
            commits=times.count,
            commit_p50_ms=round(times.percentile(50) / 1e6, 3),
            commit_p99_ms=round(p99 / 1e6, 3),
            slow=slow,
            gaps=self._missing.look(f"{node}/{lane}" for node, lane in watched.gaps()),
            quarantined=tuple(watched.quarantined()),
            leases_lost=watched.leases_lost(),
            without_lease=bool(self._unheld.look(() if watched.has_lease() else (self._name,))),
        )

    def write(self, figures: IngestFigures) -> None:
        """Write figures down; a disk that refuses is told, and the next look writes again."""
        draft = self._path.with_suffix(".new")
        try:
            draft.write_bytes(msgspec.json.encode(figures))
            draft.replace(self._path)
        except OSError as error:  # a full disk: the next look writes again
            log.warning("ingest's figures can't be written", error=type(error).__name__)


def path_of(data: Path, name: str) -> Path:
    """Return where a process of ingest writes its figures."""
    return data / "hub" / f"{name}.json"


def read_figures(data: Path, processes: Iterable[str]) -> tuple[IngestFigures, ...]:
    """Return what the processes of ingest among some said last; one that said nothing has none."""
    found = list[IngestFigures]()
    for name in filter(is_ingest, processes):
        try:
            found.append(msgspec.json.decode(path_of(data, name).read_bytes(), type=IngestFigures))
        except (OSError, msgspec.MsgspecError):
            continue
    return tuple(found)
