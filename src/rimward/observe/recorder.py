"""The recorder: takes traces and snapshots on the event loop and has a thread write them down.

It never blocks the loop and never raises into it. What can't be written waits in a bounded queue; what does
not fit there is dropped and counted. Its own state is in `stats()` and `problem`.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from rimward.observe.logs import Logger, get_logger
from rimward.observe.records import Snapshot, Trace
from rimward.observe.store import (
    Damaged,
    Figures,
    Row,
    TraceStore,
    move_aside,
    snapshot_row,
    trace_row,
)

log: Logger = get_logger("rimward.observe")

PERIOD = 0.5  # seconds between two writes
QUEUE = 4096  # traces that may wait
BATCH = 1024  # traces in one transaction
GRACE = 5.0  # seconds that closing waits for the disk


class Recorder:
    """Writes kept traces and the newest snapshot of one process to a file."""

    def __init__(
        self,
        path: Path,
        snapshot: Callable[[], Snapshot],
        *,
        max_bytes: int = 256 << 20,
        period: float = PERIOD,
        queue: int = QUEUE,
    ) -> None:
        self.problem: str | None = None  # why nothing is written now, for health
        self.kept: int = 0  # traces taken
        self.dropped: int = 0  # traces lost because too many waited
        self._snapshot = snapshot
        self._period = period
        self._limit = queue
        self._queue: deque[Trace] = deque()
        self._newest: Figures | None = None
        self._wake = threading.Event()
        self._writer = _Writer(path, max_bytes, self)
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._snapshot_failures = 0

    def keep(self, trace: Trace) -> None:
        """Take a trace; it is written within a second, or dropped and counted when too many wait."""
        if self._waiting >= self._limit:
            self.dropped += 1
            return
        self.kept += 1
        self._queue.append(trace)

    def stats(self) -> dict[str, int]:
        """Return what the recorder itself went through."""
        writer = self._writer
        return {
            "kept": self.kept,
            "written": writer.written,
            "waiting": self._waiting,
            "dropped": self.dropped,
            "write_failures": writer.failures,
            "snapshot_failures": self._snapshot_failures,
            "overwritten": writer.overwritten,
            "unwritable": writer.unwritable,
        }

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def run() -> None:
            self._writer.run(self._wake)
            loop.call_soon_threadsafe(done.set_result, None)

        self._done = done
        self._thread = threading.Thread(target=run, name="recorder", daemon=True)
        self._thread.start()
        self._timer = loop.call_later(self._period, self._tick)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what waits and close the file; give up on a disk that does not answer."""
        assert self._timer is not None
        self._timer.cancel()
        self._take_snapshot()
        self._writer.closing = True
        self._wake.set()
        await asyncio.wait({self._done}, timeout=GRACE)
        if self._waiting or not self._done.done():
            log.error("traces could not be written before the end", waiting=self._waiting)

    @property
    def _waiting(self) -> int:
        return len(self._queue) + self._writer.waiting

    def _tick(self) -> None:
        self.tell()
        self._timer = asyncio.get_running_loop().call_later(self._period, self._tick)

    def tell(self) -> None:
        """Take a snapshot now, for whoever asks before the next is due."""
        self._take_snapshot()
        self._wake.set()

    def _take_snapshot(self) -> None:
        try:
            self._newest = snapshot_row(self._snapshot())
        except Exception:  # figures must not stop the node; it is counted and said
            self._snapshot_failures += 1
            log.exception("a snapshot failed")


class _Writer:
    """The thread's part: the only one that touches the file."""

    def __init__(self, path: Path, max_bytes: int, recorder: Recorder) -> None:
        self.closing = False
        self.failures = 0
        self.overwritten = 0
        self.written = 0
        self._path = path
        self._max_bytes = max_bytes
        self._recorder = recorder
        self._store: TraceStore | None = None
        self._batch: list[Row] = []  # being written, or to be tried again
        self.unwritable = 0  # traces that hold what can't be stored

    @property
    def waiting(self) -> int:
        """How many traces were taken from the queue and are not on disk."""
        return len(self._batch)

    def run(self, wake: threading.Event) -> None:
        """Write at each wake-up, until closing."""
        closing = False
        while not closing:
            wake.wait()
            wake.clear()
            closing = self.closing  # read before the flush: what was taken until then is written
            try:
                self._flush()
            except Exception:  # the thread's outermost edge: what failed is counted, the next batch goes on
                self.failures += 1
                self.unwritable += len(self._batch)
                self._batch = []
                log.exception("traces were lost")
        if self._store is not None:
            self._store.close()

    def _flush(self) -> None:
        recorder = self._recorder
        while True:
            queue = recorder._queue
            while queue and len(self._batch) < BATCH:
                self._encode(queue.popleft())
            snapshot, recorder._newest = recorder._newest, None
            if not self._batch and snapshot is None:
                return
            if not self._write(snapshot):
                return
            self.written += len(self._batch)
            self._batch = []

    def _encode(self, trace: Trace) -> None:
        try:
            self._batch.append(trace_row(trace))
        except (ValueError, OverflowError, TypeError):
            self.unwritable += 1

    def _write(self, snapshot: Figures | None) -> bool:
        """Write one transaction; on a failure the batch stays for the next wake-up."""
        try:
            if self._store is None:
                self._store = self._open()
            self._store.write(self._batch, snapshot)
        except Damaged as error:
            self._failed(error)
            self._move_aside(error)
            return False
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return False
        self.overwritten = self._store.dropped
        if self._recorder.problem is not None:
            log.info("traces are written again")
            self._recorder.problem = None
        return True

    def _open(self) -> TraceStore:
        try:
            return TraceStore.open(self._path, self._max_bytes)
        except Damaged as error:
            self._move_aside(error)
            return TraceStore.open(self._path, self._max_bytes)

    def _move_aside(self, error: Damaged) -> None:
        aside = move_aside(self._path)
        log.warning("the trace file was damaged and was moved aside", why=str(error), file=aside.name)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self._recorder.problem is None:
            log.error("traces can't be written", why=str(error))
        self._recorder.problem = f"traces can't be written: {error}"
        if self._store is not None:  # opened anew at the next wake-up
            self._store.close()
            self._store = None
