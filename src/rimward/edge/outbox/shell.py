"""The outbox on the node's loop: a writer thread commits groups, the loop never waits for the disk."""

import asyncio
import errno
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from rimward.app.manifest import FactSpec
from rimward.edge.clock import NodeClock
from rimward.edge.outbox.chunks import SEALED_BYTES as SURE
from rimward.edge.outbox.config import OutboxConfig
from rimward.edge.outbox.core import OutboxCore
from rimward.edge.outbox.faulty import FaultyDisk
from rimward.edge.outbox.file import read_cells, writable
from rimward.edge.outbox.reading import LAZY_SPACES, Cells, ReadBack, Touched
from rimward.edge.outbox.records import DeadLetter, Forward, Transaction
from rimward.edge.outbox.tending import CLEAN, Tending, code_of
from rimward.events import OutboxBroken, OutboxFull, RimwardError
from rimward.observe import Histogram, Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.observe.faults import Faults
from rimward.wire import Epoch

log: Logger = get_logger("rimward.outbox")

GATHER = 0.002  # seconds that a group waits for company after a commit that was not alone
GROUP = 256  # transactions in one commit
LAZY = 1.0  # seconds after which touched values are written even if nothing else is
TEND = 1.0  # seconds between two looks at what is due besides commits
_REFUSALS = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR}
Done = Callable[[RimwardError | None], None]


class _Group:
    __slots__ = ("cells", "dead", "forwards", "touched", "transactions")

    def __init__(self) -> None:
        self.touched: Touched = {}
        self.transactions: list[tuple[Transaction, Done | None]] = []
        self.forwards: list[Forward] = []
        self.cells: Cells = {}
        self.dead: list[DeadLetter] = []


class Outbox(ReadBack):
    """Transactions in, callbacks out in the same order once they are on disk."""

    def __init__(
        self,
        folder: Path,
        config: OutboxConfig,
        clock: Callable[[], int],
        monotonic: Callable[[], int] = time.monotonic_ns,
        stamps: NodeClock | None = None,
    ) -> None:
        """`clock` is the wall clock, ns; `stamps` says what rows are to know of it."""
        super().__init__(folder / "outbox.db")
        self._folder = folder
        self._config = config
        self._clock = clock  # wall ns
        self._monotonic = monotonic  # ns
        self._core: OutboxCore | None = None  # none where the disk did not let it open
        self._stamps = stamps
        self._disk = FaultyDisk(Faults(folder.parent))
        self._group = _Group()
        self._touched: Touched = {}
        self._timer: asyncio.TimerHandle | None = None
        self._lazy: asyncio.TimerHandle | None = None
        self._flying: _Group | None = None  # the group that the thread writes
        self._tasks: queue.SimpleQueue[_Group | None] = queue.SimpleQueue()
        self._commits = Histogram()
        self._rows = 0
        self._broken: str | None = None
        self._full = False  # the last commit found no room on the disk
        self._failures = 0
        self._unencodable = 0  # values that were touched and could not be written
        self._last_group = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.mended: asyncio.Event = asyncio.Event()  # broken, and the disk can be written again

    @property
    def epoch(self) -> Epoch:
        """The epoch of this start; counter 0 where the disk did not let one begin."""
        return Epoch(0, 0) if self._core is None else self._core.epoch

    async def __aenter__(self) -> Self:
        """Open the file; on a disk that takes nothing go on without it, refusing what is durable.

        Raises:
            OutboxBroken: there is no such folder, or it belongs to somebody else.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._open)
        self._thread = threading.Thread(target=self._write, name="outbox", daemon=True)
        self._thread.start()
        return self

    def _open(self) -> None:
        path = self._folder / "outbox.db"
        try:
            self._core = OutboxCore(path, self._clock, self._config, self._stamps)
            self._spaces = self._core.load()
        except OutboxBroken as error:
            if not _of_the_disk(error.__cause__):
                raise
            self._core = None
            self._broken = f"{error}; the node starts anew once the disk can be written"
            self._spaces = read_cells(path)
            log.error("the outbox can't be opened: nothing durable is taken", error=str(error))  # noqa: TRY400 (the sentence says it all)
            return
        if self._core.quarantined is not None:
            log.error(
                "the outbox was damaged; what could be read of it is kept",
                kept_as=self._core.quarantined.name,
                tallies=self._core.lost(),
            )

    async def __aexit__(self, *_: object) -> None:
        """Commit what waits and close the file."""
        for timer in (self._timer, self._lazy):
            if timer is not None:
                timer.cancel()
        self._seal()
        await self._idle.wait()
        self._seal()
        await self._idle.wait()
        self._tasks.put(None)
        await asyncio.to_thread(self._thread.join)
        self.reader.close()

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space held when the outbox was opened."""
        if space.startswith(LAZY_SPACES) and self._core is not None:
            return self.reader.space(space)
        return self._spaces.pop(space, {})

    def count(self, space: str) -> int:
        """Return how many keys of a space are committed."""
        return 0 if self._core is None else super().count(space)

    def unwritten(self) -> tuple[Touched, list[Cells]]:
        """Return what is not on disk yet, the newest first."""
        groups = [self._group.cells] if self._flying is None else [self._group.cells, self._flying.cells]
        return self._touched, groups

    def admit(self, spec: FactSpec, about: int, values: tuple[object, ...]) -> None:
        """Tell whether there is room for a fact's row of about so many bytes.

        Raises:
            OutboxFull: the cap is reached, and nothing may give way.
            OutboxBroken: the disk can't be written.
            RowTooLarge: no envelope could carry it.
        """
        core = self._core
        if self._broken is not None or core is None:
            raise OutboxBroken(self._broken)
        if about > SURE or core.stock.bytes + about > core.room.limit or spec.keeping.max_bytes is not None:
            core.admit(spec, about, values)

    def append(self, tx: Transaction, done: Done | None) -> None:
        """Commit a transaction with the next group.

        Raises:
            OutboxBroken: the disk can't be written; nothing was taken.
        """
        if self._broken is not None:
            raise OutboxBroken(self._broken)
        group = self._group
        group.transactions.append((tx, done))
        group.forwards += tx.forwards
        group.dead += tx.dead
        for put in tx.puts:
            group.cells[put.space, put.key] = put.value
        if self._flying is None:
            self._plan()

    def forward(self, rows: list[Forward], done: Done) -> None:
        """Commit as `append` does what is rows and nothing else.

        Raises:
            OutboxBroken: the disk can't be written; nothing was taken.
        """
        if self._broken is not None:
            raise OutboxBroken(self._broken)
        group = self._group
        group.transactions.append((_ROWS, done))
        group.forwards += rows
        if self._flying is None:
            self._plan()

    def _plan(self) -> None:
        """Hand the waiting group over: at once where messages come alone, else when it has company."""
        waiting = len(self._group.transactions)
        if waiting >= GROUP or (self._last_group <= 1 and waiting <= 1):
            self._seal()
        elif self._timer is None:
            self._timer = self._loop.call_later(GATHER, self._seal)

    def touch(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        """Write a value with the next commit, at the latest after a second; the newest encoding counts."""
        self._touched[space, key] = encode
        if self._lazy is None:
            self._lazy = self._loop.call_later(LAZY, self._lazily)

    def fill(self) -> float:
        """Return how full it is, from 0 to 1."""
        if self._core is None:
            return 0.0
        return self._core.held / max(1, self._core.room.limit)

    def stats(self) -> dict[str, int | float]:
        """Return fill, commits and what is broken."""
        core = self._core
        return {
            "bytes": core.held if core else 0,
            "kept_bytes": core.stock.kept if core else 0,
            "max_bytes": self._config.max_bytes,
            "limit_bytes": core.room.limit if core else 0,
            "free_bytes": core.free if core else 0,
            "reserve_used": int(core is not None and core.on_reserve),
            "rows": self._rows,
            "waiting_transactions": len(self._group.transactions),
            "dead_letters": core.dead_total if core else 0,
            "dead_bytes": core.dead_bytes if core else 0,
            "commits": self._commits.count,
            "commit_p50_ms": self._commits.percentile(50) / 1e6,
            "commit_p99_ms": self._commits.percentile(99) / 1e6,
            "failed_commits": self._failures,
            "unencodable": self._unencodable,
            "full": int(self._full),
            "broken": int(self._broken is not None),
            "quarantined": int(core is not None and core.quarantined is not None),
        }

    # -- groups

    def _lazily(self) -> None:
        self._lazy = None
        if self._touched:
            self._seal()

    def _seal(self) -> None:
        """Hand the waiting group to the thread, with every touched value as it is now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group = self._group
        if self._flying is not None or self._broken is not None:
            return
        if not group.transactions and not self._touched:
            return
        for place, encode in self._touched.items():
            try:
                group.cells[place] = encode()
            except Exception:  # a user's value, which must not keep the others from the disk
                self._unencodable += 1
                log.exception("a value can't be kept: the disk has an older one", space=place[0])
        group.touched, self._touched = self._touched, {}
        self._group = _Group()
        self._flying = group
        self._last_group = len(group.transactions)
        self._idle.clear()
        self._tasks.put(group)

    def _landed(self, group: _Group, took: int, error: BaseException | None) -> None:
        self._flying = None
        if error is not None:
            self._fail(group, error)
        else:
            reach("outbox.landed")
            self._full = False
            self._commits.record(took)
            self._rows += len(group.forwards)
            for _, done in group.transactions:
                if done is not None:
                    done(None)
        if self._group.transactions:
            self._plan()
        if self._flying is None:
            self._idle.set()

    def _fail(self, group: _Group, error: BaseException) -> None:
        """Take everything back that is not on disk, newest first.

        A full or busy disk refuses this much and no more. After anything else, a failed fsync above all, the
        file is not written again by this process.
        """
        self._failures += 1
        refusal: RimwardError
        if isinstance(error, sqlite3.Error) and code_of(error) in CLEAN:
            self._full = True
            refusal = OutboxFull(f"outbox: {error}")
            log.warning(
                "a group of messages was refused: the disk has no room", transactions=len(group.transactions)
            )
        else:
            refusal = OutboxBroken(self._break(error))
        pending = group.transactions + self._group.transactions
        self._group = _Group()
        self._touched = group.touched | self._touched
        if self._lazy is None and self._broken is None and self._touched:
            self._lazy = self._loop.call_later(LAZY, self._lazily)
        for transaction, _ in reversed(pending):
            for step in reversed(transaction.undo):
                step()
        for _, done in pending:
            if done is not None:
                done(refusal)

    def _break(self, error: BaseException) -> str:
        """Take nothing durable any more; return why."""
        self._broken = f"outbox: {error}; the node starts anew once the disk can be written"
        log.error("the outbox can't be written", error=type(error).__name__)
        return self._broken

    def _abandoned(self, error: BaseException) -> None:
        """Hear from the thread that the file broke between commits: a group in its hands fails by itself."""
        if self._broken is None:
            self._break(error)
            if self._flying is None and self._group.transactions:
                self._fail(_Group(), error)

    # -- the thread

    def _write(self) -> None:
        core = self._core
        tending = None if core is None else Tending(core)
        checked = 0
        usable = tending is not None and self._tend(tending)
        while True:
            try:
                group = self._tasks.get(timeout=TEND)
            except queue.Empty:
                group = _NOTHING
            if group is None:
                break
            if group is not _NOTHING:
                usable = self._commit(group, usable=usable)
            if self._monotonic() - checked > TEND * 1e9:
                checked = self._monotonic()
                if usable and tending is not None:
                    usable = self._tend(tending)
                elif self._disk.bears() and writable(self._folder / "outbox.db"):
                    self._loop.call_soon_threadsafe(self.mended.set)
        if core is not None:
            core.close()

    def _commit(self, group: _Group, *, usable: bool) -> bool:
        """Write a group and report it; return whether the file may be written again."""
        started = self._monotonic()
        error: BaseException | None = None
        try:
            if not usable or self._core is None:
                raise sqlite3.OperationalError("the file was given up")
            self._disk.strike()
            self._core.commit(group.forwards, group.cells, group.dead)
        except (sqlite3.Error, OSError, ValueError) as raised:
            error = raised
        took = self._monotonic() - started
        clean = error is None or (isinstance(error, sqlite3.Error) and code_of(error) in CLEAN)
        if usable and not clean:
            self._give_up()
        self._loop.call_soon_threadsafe(self._landed, group, took, error)
        return usable and clean

    def _tend(self, tending: Tending) -> bool:
        """Do what is due between commits; return whether the file may be written again."""
        try:
            tending.tend()
        except sqlite3.Error as error:
            self._give_up()
            self._loop.call_soon_threadsafe(self._abandoned, error)
            return False
        return True

    def _give_up(self) -> None:
        try:
            if self._core is not None:
                self._core.give_up()
        except OSError as refused:
            log.error("the next start can't be told that the outbox is broken", error=str(refused))  # noqa: TRY400 (one line: the disk is gone)


_ROWS = Transaction()  # stands for one that is nothing but rows: there is nothing to take back
_NOTHING = _Group()  # stands for a wait without work


def _of_the_disk(error: BaseException | None) -> bool:
    """Tell whether a file could not be opened because its disk takes nothing now."""
    if isinstance(error, sqlite3.Error):
        return code_of(error) in _REFUSALS
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
