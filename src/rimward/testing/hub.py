# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""The hub of a Site: the real ingest on a real lake, and cloud functions on committed rows.

Only this module needs the cloud extra, and a Site imports it when the first row is on its way.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from rimward.app import App
from rimward.app.facts import Fact
from rimward.cloud.commands.commanding import CommandDesk
from rimward.cloud.commands.desk import CommandState, states
from rimward.cloud.erasing.listing import Erasures
from rimward.cloud.functions.calling import fact_of
from rimward.cloud.functions.forwarding import Forwarding
from rimward.cloud.functions.hubdb import open_journal
from rimward.cloud.functions.worker import Worker
from rimward.cloud.ingest.core import Envelope, Ingest
from rimward.cloud.lake.storage import lake_of
from rimward.cloud.store import Records
from rimward.edge.outbox import DeadLetter
from rimward.testing.clock import Loop
from rimward.wire import EnvelopeError, Epoch, Mark, Marks, parse_up, unseal
from rimward.wire.commands import Commands, Wanted


class SiteHub:
    """Takes envelopes as the bus would bring them, and answers with marks."""

    def __init__(
        self,
        app: App,
        data: Path,
        settings: Struct | None,
        now: Callable[[], int],
        on_error: Callable[[Exception], None],
    ) -> None:
        """`now` is the wall clock, ns; `on_error` hears of what cloud functions raise in the end."""
        self._app = app
        self._data = data
        self._settings = settings
        self._lake = lake_of(data)
        self._now = now
        self._on_error = on_error
        self._records = Records(data / "hub" / "hub.db")
        erasures = Erasures(data, self._lake)
        self._ingest = Ingest(self._lake, app.manifest().facts, now, self._records, erasures)
        self._db = open_journal(data / "hub" / "hub.db")
        self._worker: Worker | None = None
        self._desk = CommandDesk(data / "hub" / "hub.db", lake_of(data), now)
        self.poison: int = 0  # envelopes that could not be read
        self.foreign: set[tuple[str, Epoch]] = set()  # nodes and starts of which rows were refused

    def take(self, uploads: list[tuple[str, bytes]]) -> list[bytes]:
        """Commit envelopes and return the marks of their nodes."""
        by_fact: dict[str, list[Envelope]] = {}
        for subject, data in uploads:
            try:
                _, lane = parse_up(subject)
                header, rows = unseal(data)
            except (ValueError, EnvelopeError):
                self.poison += 1
                continue
            by_fact.setdefault(lane.table, []).append(Envelope(lane, header, rows, self._now()))
        marks: dict[str, list[Mark]] = {}
        for fact, envelopes in by_fact.items():
            outcome = self._ingest.take(fact, envelopes)
            self._records.note(outcome, self._now())
            self.foreign |= {(one.lane.node, one.lane.epoch) for one in outcome.foreign}
            for node, mark in outcome.marks:
                marks.setdefault(node, []).append(mark)
        return [Marks(node, tuple(found)).encode() for node, found in marks.items()]

    def work(self) -> None:
        """Run the cloud functions on the rows that they have not had."""
        if not (self._app.cloud_functions or self._app.scheduled_functions):
            return
        if self._worker is None:
            self._worker = Worker(
                self._app, self._data, self._settings, self._now, self._on_error, patience=0.0
            )  # a function that failed is tried again at once
            self._forwarding = Forwarding(self._data / "hub" / "hub.db", self._ingest, self._now)
        with _apart():
            self._worker.run_once()
            while self._forwarding.drain():
                self._worker.run_once()
        self._desk.look()

    @property
    def due(self) -> bool:
        """Whether an event of a cloud function is to be tried again."""
        return self._worker is not None and self._worker.is_due

    def keep_time(self, loop: Loop) -> None:
        """Run what is due now, and cloud functions at their times from here on, with or without an uplink."""
        self.work()
        at = None if self._worker is None else self._worker.next_at
        if at is not None:
            wait = max(0, at - self._now())
            loop.call_at(loop.clock.monotonic() + wait, lambda: self.keep_time(loop))

    def answer(self, node: str, wanted: Wanted) -> Commands:
        """Return a node's next commands."""
        return self._desk.answer(node, wanted)

    def commands(self) -> list[CommandState]:
        """Return the commands that functions gave."""
        self._desk.look()
        return states(self._db)

    def rows(self, fact: Fact) -> list[Any]:
        """Return a table's rows as facts, in the order in which they were forwarded."""
        table: Any = self._lake.open(fact.spec.table).to_pyarrow_table()
        order = [("_node", "ascending"), ("_epoch", "ascending"), ("_seq", "ascending")]
        return [fact_of(fact, row) for row in table.sort_by(order).to_pylist()]

    def dead_letters(self) -> list[DeadLetter]:
        """Return what cloud functions could not work on."""
        rows = self._db.execute(
            "select at, function, node, counter, seq, reason from dead_function order by id"
        ).fetchall()
        return [
            DeadLetter(at, "failed", reason, "cloud", f"row {counter}/{seq}", node, function, b"")
            for at, function, node, counter, seq, reason in rows
        ]

    def close(self) -> None:
        """Close the hub's file."""
        if self._worker is not None:
            self._worker.close()
            self._forwarding.close()
        self._desk.close()
        self._records.close()
        self._db.close()


@contextmanager
def _apart() -> Generator[None]:
    """Hide the test's loop: cloud functions run as in their own process, async ones with a loop of theirs."""
    outer = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)
