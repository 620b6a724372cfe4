"""The node's outbox on the Site's loop: the real file without a thread; what a turn brings is one commit."""

import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from rimward.app.manifest import FactSpec
from rimward.edge.clock import NodeClock, Sources
from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import DeadLetter, Forward, OutboxCore, Transaction
from rimward.edge.outbox.reading import LAZY_SPACES, Cells, ReadBack, Touched
from rimward.edge.outbox.schema import prepare
from rimward.events import OutboxBroken, RimwardError
from rimward.testing.clock import Loop, Planned
from rimward.wire import Epoch, Mark, Marks

LAZY = 1_000_000_000  # ns after which touched values are written even if nothing else is
Done = Callable[[RimwardError | None], None]


@functools.cache
def _prepared() -> bytes:
    """Return a file with all tables and no rows: to make them anew would be a third of a Site's start."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        prepare(db)
        return db.serialize()


class SiteOutbox(ReadBack):
    """What dispatch stands on in a Site. A killed one hears and says nothing any more."""

    def __init__(
        self, folder: Path, config: OutboxConfig, loop: Loop, passing: Callable[[str], None]
    ) -> None:
        """`passing` is told of the moments around a commit: "before-commit" and "after-commit"."""
        super().__init__(folder / "outbox.db")
        self._loop = loop
        self._passing = passing
        self._waiting: list[tuple[Transaction, Done | None]] = []
        self._touched: dict[tuple[str, str], Callable[[], bytes | None]] = {}
        self._planned: Planned | None = None
        self._lazy: Planned | None = None
        self._broken: str | None = None
        clock = loop.clock
        stamps = NodeClock(Sources(clock.monotonic, clock.wall, clock.monotonic, lambda: 0, "site"))
        path = folder / "outbox.db"
        fresh = not path.exists()
        if fresh:
            path.write_bytes(_prepared())
        self.core: OutboxCore = OutboxCore(path, clock.wall, config, stamps)
        if fresh:
            self.core._db.execute("update meta set value = ? where key = 'id'", (os.urandom(16).hex(),))
        self._spaces = self.core.load()

    @property
    def epoch(self) -> Epoch:
        """The epoch of this start."""
        return self.core.epoch

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space held when the node started."""
        if space.startswith(LAZY_SPACES):
            return self.reader.space(space)
        return self._spaces.pop(space, {})

    def unwritten(self) -> tuple[Touched, list[Cells]]:
        """Return what is not on disk yet."""
        return self._touched, [
            {(put.space, put.key): put.value for tx, _ in self._waiting for put in tx.puts}
        ]

    def admit(self, spec: FactSpec, about: int, values: tuple[object, ...]) -> None:
        """Tell whether there is room for a fact's row of about so many bytes.

        Raises:
            OutboxFull: the cap is reached, and nothing may give way.
            OutboxBroken: the disk can't be written.
            RowTooLarge: no envelope could carry it.
        """
        if self._broken is not None:
            raise OutboxBroken(self._broken)
        self.core.admit(spec, about, values)

    def append(self, tx: Transaction, done: Done | None) -> None:
        """Commit a transaction when this turn is over."""
        if self._broken is not None:
            raise OutboxBroken(self._broken)
        self._waiting.append((tx, done))
        if self._planned is None:
            self._planned = self._loop.call_soon(self.commit)

    def forward(self, rows: list[Forward], done: Done) -> None:
        """Commit rows when this turn is over."""
        transaction = Transaction()
        transaction.forwards = rows
        self.append(transaction, done)

    def fill(self) -> float:
        """Return that there is always room."""
        return 0.0

    def touch(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        """Write a value with the next commit, at the latest after a second; the newest encoding counts."""
        self._touched[space, key] = encode
        if self._lazy is None:
            self._lazy = self._loop.call_at(self._loop.clock.monotonic() + LAZY, self._write_touched)

    def _write_touched(self) -> None:
        self._lazy = None
        self.commit()

    def commit(self) -> None:
        """Write what waits as one transaction, then tell whoever waits for it."""
        self._planned = None
        if not self._loop.alive or self._broken is not None or not (self._waiting or self._touched):
            return
        self._passing("before-commit")
        if not self._loop.alive:
            return
        group, self._waiting = self._waiting, []
        cells = {(put.space, put.key): put.value for tx, _ in group for put in tx.puts}
        cells |= {place: encode() for place, encode in self._touched.items()}
        self._touched.clear()
        forwards: list[Forward] = [row for tx, _ in group for row in tx.forwards]
        dead: list[DeadLetter] = [letter for tx, _ in group for letter in tx.dead]
        try:
            self.core.commit(forwards, cells, dead)
        except (sqlite3.Error, OSError, ValueError) as error:
            self._fail(group, error)
            return
        self._passing("after-commit")
        for _, done in group:
            if done is not None and self._loop.alive:
                done(None)

    def _fail(self, group: list[tuple[Transaction, Done | None]], error: Exception) -> None:
        self._broken = f"outbox: {error}; the node starts anew once the disk can be written"
        for tx, _ in reversed(group):
            for step in reversed(tx.undo):
                step()
        for _, done in group:
            if done is not None:
                done(OutboxBroken(self._broken))

    def forget_by(self, marks: Iterable[Mark]) -> None:
        """Delete what the lake has had for long enough."""
        self.core.forget(Marks("", tuple(marks)))

    def dead_letters(self) -> list[DeadLetter]:
        """Return what is kept of events that could not be worked on, oldest first."""
        decoder = msgspec.msgpack.Decoder(DeadLetter)
        rows = self.core._db.execute("select body from dead order by id").fetchall()
        return [decoder.decode(body) for (body,) in rows]

    def close(self) -> None:
        """Close the file; what is not committed is gone."""
        self.reader.close()
        self.core.close()
