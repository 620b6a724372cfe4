# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Ingest: envelopes become one Delta commit a table, on stable storage before any mark says so.

The commit's application transaction carries the last row of each node and fact; what an envelope brings is
compared with it first, on the same handle that commits (GUARANTEES §2). Epochs, losses and dead letters are
committed before it, each with a transaction id of its own, so that a repeat writes none twice.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from deltalake.exceptions import CommitFailedError
from msgspec import Struct

from rimward.app.manifest import FactSpec
from rimward.cloud.durable import DurableTable
from rimward.cloud.epochs import ANY, Epochs
from rimward.cloud.storage import Storage, storage_of
from rimward.cloud.tables import DEAD, EPOCHS, GAP, Batch, Kept, schema_of, to_arrow
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.wire import Header, Lane, Mark, Place, Row, split_version, transaction_id, transaction_version
from rimward.wire.system import SYSTEM

log: Logger = get_logger("rimward.ingest")

SIDE_TABLES = {"_dead": DEAD, "_gap": GAP, "_epochs": EPOCHS}
UNKNOWN = "unknown:"  # prefix of marks of facts that the app did not have: all their rows are dead letters


class Envelope(Struct):
    """One upload; where its bytes can't be read, the header holds what its id says."""

    lane: Lane
    header: Header
    rows: list[Row]
    received_at: int = 0  # wall ns
    unreadable: tuple[str, bytes] | None = None  # the reason, and the bytes


class Outcome(Struct):
    """What became of a batch, in rows; duplicates, gaps and clashes in envelopes."""

    marks: list[tuple[str, Mark]]  # (node, mark)
    stored: int = 0
    dead: int = 0
    lost: int = 0
    duplicates: int = 0
    gaps: int = 0
    clashes: int = 0
    version: int = 0
    taken: tuple[Envelope, ...] = ()  # those that the commit brought
    rows: Any = None  # the fact's rows that the commit brought, as Arrow; None where there is no table


class Verdict(Enum):
    """What an envelope is to the mark that it meets."""

    NEW = "new"
    DUPLICATE = "duplicate"
    GAP = "gap"  # rows before it are missing: it comes again after them
    CLASH = "clash"  # another outbox's rows under this node's name


class _Work:
    """One batch of a fact, judged row by row."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.reached: dict[str, Place] = {}
        self.epochs: dict[tuple[str, int], int] = {}  # not yet remembered
        self.counts = dict.fromkeys(Verdict, 0)
        self.taken: list[Envelope] = []


class Ingest:
    """One lake's writer."""

    def __init__(self, lake: Storage | Path, facts: Iterable[FactSpec], now: Callable[[], int]) -> None:
        self._lake = storage_of(lake)
        self._facts = {fact.table: fact for fact in (*facts, *SYSTEM)}
        self._now = now
        self._schemas = SIDE_TABLES | {name: schema_of(spec.columns) for name, spec in self._facts.items()}
        self._tables: dict[str, DurableTable] = {}
        self._open()

    def _open(self) -> None:
        """Open every table, or look at it as it is now."""
        for name, schema in self._schemas.items():
            if name in self._tables:
                self._tables[name].reopen()
            else:
                self._tables[name] = DurableTable(self._lake, name, schema)
        self._epochs = Epochs(self._tables["_epochs"])
        if self._tables["_epochs"].created:
            self._epochs.recover(table.handle for name, table in self._tables.items() if name != "_epochs")

    def _reopen_what_was_deleted(self, fact: str) -> None:
        if gone := [
            name for name in {*SIDE_TABLES, fact} & set(self._tables) if not self._tables[name].there()
        ]:
            log.error("tables were deleted under the hub", tables=", ".join(sorted(gone)))
            self._open()

    def knows(self, fact: str) -> bool:
        """Tell whether the app has such a fact."""
        return fact in self._facts

    def mark(self, node: str, fact: str) -> Place:
        """Return the last row of a node and fact that the lake has, as (counter, seq)."""
        application = transaction_id(node, fact)
        version = self._tables["_dead"].mark(UNKNOWN + application)
        if fact in self._facts:
            version = max(version, self._tables[fact].mark(application))
        return split_version(version)

    def marks(self) -> list[tuple[str, Mark]]:
        """Return every mark of every node."""
        pairs = [(node, fact) for node in sorted(self._epochs.nodes()) for fact in self._facts]
        found = [(node, self._mark(node, fact)) for node, fact in pairs if self.mark(node, fact) > (0, 0)]
        return [(node, mark) for node, mark in found if mark is not None]

    def take(self, fact: str, envelopes: list[Envelope]) -> Outcome:
        """Commit what is new of one fact's envelopes.

        A failed fence (another writer was here) reopens the tables and looks again, once.

        Raises:
            CommitFailedError: another writer was here twice; nothing of it may be announced.
            LakeBroken: an fsync failed.
        """
        self._reopen_what_was_deleted(fact)
        for last_try in (False, True):
            try:
                return self._take(fact, envelopes)
            except CommitFailedError:
                if last_try:
                    raise
                self._open()
        raise AssertionError

    def _take(self, fact: str, envelopes: list[Envelope]) -> Outcome:
        work = _Work(Batch(fact, self._facts.get(fact), self._now()))
        for envelope in envelopes:
            mark = work.reached.get(envelope.lane.node) or self.mark(envelope.lane.node, fact)
            verdict = self._judge(envelope, mark, work)
            work.counts[verdict] += 1
            if verdict is Verdict.NEW:
                self._add(envelope, mark, work)
        if work.epochs:
            self._epochs.add(work.epochs, self._now())
            reach("ingest.epochs-written")
        rows = self._commit(fact, work) if work.reached else None
        nodes = dict.fromkeys(envelope.lane.node for envelope in envelopes)
        marks = [(node, self._mark(node, fact)) for node in nodes]
        return Outcome(
            marks=[(node, mark) for node, mark in marks if mark is not None],
            stored=0 if rows is None else rows.num_rows,
            dead=sum(kept.row[DEAD.get_field_index("rows")] for kept in work.batch.dead),
            lost=sum(kept.row[GAP.get_field_index("rows")] for kept in work.batch.lost),
            duplicates=work.counts[Verdict.DUPLICATE],
            gaps=work.counts[Verdict.GAP],
            clashes=work.counts[Verdict.CLASH],
            version=self._home(fact).version,
            taken=tuple(work.taken),
            rows=rows,
        )

    def _judge(self, envelope: Envelope, mark: Place, work: _Work) -> Verdict:
        lane, header = envelope.lane, envelope.header
        key = (lane.node, lane.epoch.counter)
        nonce = work.epochs.get(key, self._epochs.nonce(*key))
        if nonce not in (None, ANY, lane.epoch.nonce):
            return Verdict.CLASH
        if (lane.epoch.counter, header.last) <= mark:
            if nonce is None:  # nothing ever came from this start, and yet the mark is past it
                return Verdict.CLASH
            verdict = Verdict.DUPLICATE
        else:
            verdict = self._follows(envelope, mark, work)
        if nonce != lane.epoch.nonce and verdict in (Verdict.NEW, Verdict.DUPLICATE):
            work.epochs[key] = lane.epoch.nonce
        return verdict

    def _follows(self, envelope: Envelope, mark: Place, work: _Work) -> Verdict:
        """Judge an envelope that goes beyond the mark: does it go on where the mark is?"""
        lane, header = envelope.lane, envelope.header
        if lane.epoch.counter == mark[0]:
            return Verdict.NEW if header.first <= mark[1] + 1 else Verdict.GAP
        if header.first != 1 or transaction_version(*mark) < header.prior:
            return Verdict.GAP
        if header.prior:
            key = (lane.node, split_version(header.prior)[0])
            if work.epochs.get(key, self._epochs.nonce(*key)) not in (ANY, header.prior_nonce):
                return Verdict.CLASH  # the mark passed that counter with another disk's rows
        return Verdict.NEW

    def _add(self, envelope: Envelope, mark: Place, work: _Work) -> None:
        lane, header, batch = envelope.lane, envelope.header, work.batch
        first = max(header.first, mark[1] + 1) if lane.epoch.counter == mark[0] else header.first
        if envelope.unreadable is not None:
            batch.bury_range(lane, header, first, envelope.unreadable)
        elif header.lost is not None:
            batch.lose(lane, header, first)
        for row in envelope.rows:
            if row.seq >= first:
                batch.add(lane, header, row)
        work.reached[lane.node] = (lane.epoch.counter, header.last)
        work.taken.append(envelope)

    def _commit(self, fact: str, work: _Work) -> Any:
        """Write losses and dead letters, then the rows with the mark; return them where there is a table."""
        batch = work.batch
        rows = batch.table() if fact in self._facts else None
        ends = {node: transaction_version(*place) for node, place in work.reached.items()}
        self._aside("_gap", "gap:", fact, batch.lost, ends)
        if rows is None:
            dead = to_arrow(DEAD, [kept.row for kept in batch.dead])
            marks = {UNKNOWN + transaction_id(node, fact): end for node, end in ends.items()}
            self._tables["_dead"].write(dead, marks)
            return None
        self._aside("_dead", "dead:", fact, batch.dead, ends)
        self._tables[fact].write(rows, {transaction_id(node, fact): end for node, end in ends.items()})
        return rows

    def _aside(self, name: str, prefix: str, fact: str, found: list[Kept], ends: dict[str, int]) -> None:
        """Commit rows of a side table, but those that an earlier try has committed."""
        table = self._tables[name]
        fresh = [
            kept for kept in found if kept.version > table.mark(prefix + transaction_id(kept.node, fact))
        ]
        if fresh:
            marks = {prefix + transaction_id(kept.node, fact): ends[kept.node] for kept in fresh}
            table.write(to_arrow(self._schemas[name], [kept.row for kept in fresh]), marks)
            reach("ingest.side-written")

    def _home(self, fact: str) -> DurableTable:
        return self._tables[fact if fact in self._facts else "_dead"]

    def _mark(self, node: str, fact: str) -> Mark | None:
        """Return a node's mark; None while nobody can know whose rows it counts."""
        counter, seq = self.mark(node, fact)
        nonce = self._epochs.nonce(node, counter) if counter else 0
        if nonce is None or nonce == ANY:
            return None
        table = self._home(fact)
        return Mark(fact, table.id, 0, table.version, counter, nonce, seq)
