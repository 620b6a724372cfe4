# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (deltalake ships partial types)
"""Ingest: envelopes become one Delta commit a table, on stable storage before any mark says so.

The commit's application transaction carries the last row of each node and lane; what an envelope brings is
compared with it first, on the same handle that commits (GUARANTEES §2). Epochs, losses and dead letters are
committed before it, each with a transaction id of its own, so that a repeat writes none twice.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deltalake.exceptions import CommitFailedError

from rimward.app.manifest import FactSpec
from rimward.cloud.erasing.listing import Erasures, Rules
from rimward.cloud.ingest.batch import Batch, Span
from rimward.cloud.ingest.coverage import without
from rimward.cloud.ingest.envelopes import Envelope, Outcome
from rimward.cloud.ingest.epochs import ANY
from rimward.cloud.ingest.generations import Memory
from rimward.cloud.ingest.judging import Judge, Verdict
from rimward.cloud.ingest.opened import SIDE_TABLES, OpenLake
from rimward.cloud.lake.storage import Storage
from rimward.cloud.lake.tables import DEAD, GAP, Kept, to_arrow
from rimward.observe.failpoints import reach
from rimward.wire import (
    Epoch,
    Hello,
    Lane,
    Mark,
    Place,
    Welcome,
    table_of,
    transaction_id,
    transaction_version,
)
from rimward.wire.erasing import ERASED, Orders
from rimward.wire.system import SYSTEM

__all__ = ["Envelope", "Ingest", "Outcome", "Verdict"]

Key = tuple[str, str]  # node and lane


class _Work:
    """One batch of a fact, judged envelope by envelope."""

    def __init__(self, batch: Batch, judge: Judge) -> None:
        self.batch = batch
        self.judge = judge
        self.reached: dict[Key, Place] = {}
        self.counts = dict.fromkeys(Verdict, 0)
        self.taken: list[Envelope] = []
        self.early: list[Envelope] = []
        self.foreign: list[Envelope] = []

    def ends(self) -> dict[str, int]:
        """Return the version that each lane's transaction gets."""
        return {transaction_id(*key): transaction_version(*place) for key, place in self.reached.items()}


class Ingest:
    """One lake's writer."""

    def __init__(
        self,
        lake: Storage | Path,
        facts: Iterable[FactSpec],
        now: Callable[[], int],
        memory: Memory | None = None,
        erasures: Erasures | None = None,
    ) -> None:
        """`now` is the wall clock, ns; `memory` outlives this process, `erasures` keeps rows out.

        Raises:
            SchemaChanged: a fact's column has another type than before.
        """
        self._now = now
        self._erasures = erasures
        if erasures is not None:
            erasures.heal()
        self.lake: OpenLake = OpenLake(lake, (*facts, *SYSTEM), now, memory)

    def mark(self, node: str, fact: str) -> Place:
        """Return the last row of a fact's lane, or another, that the lake has, as (counter, seq)."""
        return self.lake.mark(node, fact)

    def marks(self, mine: Callable[[str], bool] = lambda _: True) -> list[tuple[str, Mark]]:
        """Return every mark of every node that is `mine`."""
        lake = self.lake
        return [
            (node, mark)
            for node in sorted(filter(mine, lake.epochs.nodes()))
            for fact in lake.facts
            for lane in lake.lanes(fact)
            if lake.mark(node, lane) > (0, 0) or lake.high(node, lane) > (0, 0)
            if (mark := self._mark(node, lane)) is not None
        ]

    def marks_of(self, node: str, lanes: Iterable[str]) -> dict[str, Mark]:
        """Return a node's marks of some lanes, by lane; of facts that the app does not have, too."""
        found = {lane: self._mark(node, lane) for lane in lanes}
        return {lane: mark for lane, mark in found.items() if mark is not None}

    def left(self, hello: Hello, welcome: Welcome) -> dict[str, dict[int, int]]:
        """Return, by lane and by counter that it went past, the last row that the lake has of a node's start.

        Whatever else there is of these can't be taken any more under its number. They are the starts that the
        node has named, and those that the welcome names.
        """
        lake, node, found = self.lake, hello.node, dict[str, dict[int, int]]()
        counters = {counter for counter, _ in (*hello.epochs, *welcome.epochs)}
        lanes = {lane for fact in lake.facts for lane in lake.lanes(fact)}
        for lane in sorted(lanes | {tally.lane for tally in hello.tallies}):
            reached = self.mark(node, lane)[0]
            if past := {one: self._left(node, lane, one) for one in counters if one < reached}:
                found[lane] = past
        return found

    def _left(self, node: str, lane: str, counter: int) -> int:
        """Return a start's last row that is accounted for; where that is not written down, the tables say."""
        end = self.lake.epochs.left(node, lane, counter)
        if end is not None:
            return end
        spans = self.lake.coverage(table_of(lane)).spans(node, lane, counter)
        return spans[0][1] if spans and spans[0][0] == 1 else 0

    def look(self) -> bool:
        """Look at what others did to the lake; tell whether marks may have changed.

        It raises what opening the tables raises.
        """
        return self.lake.look()

    def take(self, fact: str, envelopes: list[Envelope]) -> Outcome:
        """Commit what is new of the envelopes of one fact's lanes.

        A failed fence (another writer was here, or the table was restored) reopens the tables and looks
        again, once.

        Raises:
            CommitFailedError: another writer was here twice; nothing of it may be announced.
            LakeBroken: an fsync failed.
        """
        if any(not self.lake.tables[name].there() for name in {*SIDE_TABLES, "_epochs", self._home(fact)}):
            self.lake.look()
        for last_try in (False, True):
            try:
                return self._take(fact, envelopes)
            except CommitFailedError:
                if last_try:
                    raise
                self.lake.open()
        raise AssertionError

    def _take(self, fact: str, envelopes: list[Envelope]) -> Outcome:
        lake, work = self.lake, self._judged(fact, envelopes)
        if (work.early or work.foreign) and lake.look():  # no fence holds what isn't committed
            work = self._judged(fact, envelopes)
        fresh = work.judge.fresh
        if fresh.nonces or fresh.priors:
            lake.epochs.add(fresh, self._now())
            reach("ingest.epochs-written")
        rows = self._commit(fact, work) if work.reached else None
        return self._outcome(fact, envelopes, work, rows)

    def _judged(self, fact: str, envelopes: list[Envelope]) -> _Work:
        """Compare envelopes with the marks of the tables as they are open."""
        lake = self.lake
        batch = Batch(fact, lake.schema_of.get(fact), lake.schemas, self._now(), self.rules(fact))
        work = _Work(batch, Judge(lake))
        for envelope in envelopes:
            key = (envelope.lane.node, envelope.lane.fact)
            mark = work.reached.get(key) or self.mark(*key)
            verdict = work.judge.judge(envelope, mark)
            work.counts[verdict] += 1
            if verdict is Verdict.NEW:
                self._add(envelope, mark, work)
                work.reached[key] = (envelope.lane.epoch.counter, envelope.header.last)
                work.taken.append(envelope)
            elif verdict is Verdict.GAP:
                work.early.append(envelope)
            elif verdict is Verdict.CLASH:
                work.foreign.append(envelope)
        return work

    def rules(self, fact: str) -> Rules | None:
        """Return what keeps rows of a fact out; None where nothing does."""
        found = () if self._erasures is None else self._erasures.of(fact)
        return Rules(found) if found else None

    def orders(self, known: str) -> Orders | None:
        """Return the erasures for a node that has carried out a list; None where it is this one."""
        if self._erasures is None or self._erasures.name == known:
            return None
        return self._erasures.orders(self.lake.schemas.known)

    def _outcome(self, fact: str, envelopes: list[Envelope], work: _Work, rows: Any) -> Outcome:
        lanes = dict.fromkeys((one.lane.node, one.lane.fact) for one in envelopes)
        marks = [(node, self._mark(node, lane)) for node, lane in lanes]
        self.lake.note()
        return Outcome(
            marks=[(node, mark) for node, mark in marks if mark is not None],
            stored=0 if rows is None else rows.num_rows,
            dead=sum(kept.row[DEAD.get_field_index("rows")] for kept in work.batch.dead),
            lost=_rows(work.batch.lost, erased=False),
            erased=_rows(work.batch.lost, erased=True),
            duplicates=work.counts[Verdict.DUPLICATE],
            gaps=work.counts[Verdict.GAP],
            clashes=work.counts[Verdict.CLASH],
            version=self.lake.home(fact).version,
            taken=tuple(work.taken),
            rows=rows,
            seen={
                name: (table.id, table.version)
                for name, table in self.lake.tables.items()
                if name in {*SIDE_TABLES, self._home(fact)}
            },
            early=tuple(work.early),
            foreign=tuple(work.foreign),
        )

    def _add(self, envelope: Envelope, mark: Place, work: _Work) -> None:
        lane, header, batch = envelope.lane, envelope.header, work.batch
        first = max(header.first, mark[1] + 1) if lane.epoch.counter == mark[0] else header.first
        spans: list[Span] = [(first, header.last)]
        high = self.lake.high(lane.node, lane.fact)
        if high > mark:
            self._lose_what_was_passed(envelope, mark, work)
        if (lane.epoch.counter, first) <= high:
            covered = self.lake.coverage(lane.table).spans(lane.node, lane.fact, lane.epoch.counter)
            spans = without(first, header.last, covered)
        if envelope.unreadable is not None:
            batch.bury_spans(lane, header, envelope.unreadable, spans)
        elif header.lost is not None:
            batch.lose(lane, header, spans, header.lost)
        elif spans:
            batch.add(lane, header, envelope.rows, spans)

    def _lose_what_was_passed(self, envelope: Envelope, mark: Place, work: _Work) -> None:
        """Write down what is missing of epochs that a restored lane's node has nothing of any more."""
        lane = envelope.lane
        coverage = self.lake.coverage(lane.table)
        priors = self.lake.epochs.priors(lane.node, lane.fact).values()
        for counter, spans in coverage.epochs(lane.node, lane.fact).items():
            if not mark[0] <= counter < lane.epoch.counter:
                continue
            last = max([spans[-1][1], *(prior[1] for prior in priors if prior[0] == counter)])
            first = mark[1] + 1 if counter == mark[0] else 1
            if missing := without(first, last, spans):
                before = Lane(lane.node, Epoch(counter, 0), lane.fact)
                work.batch.lose(before, envelope.header, missing, "forgotten")

    def _commit(self, fact: str, work: _Work) -> Any:
        """Write losses and dead letters, then the rows with the mark; return them where there is a table."""
        lake, batch, ends = self.lake, work.batch, work.ends()
        self._aside("_gap", "gap:", batch.lost, ends)
        marks = {lake.application(*key): transaction_version(*place) for key, place in work.reached.items()}
        if fact not in lake.facts:
            lake.tables["_dead"].write(to_arrow(DEAD, [kept.row for kept in batch.dead]), marks)
            return None
        self._aside("_dead", "dead:", batch.dead, ends)
        rows = batch.table()
        lake.tables[fact].write(rows, marks)
        return rows

    def _aside(self, name: str, prefix: str, found: list[Kept], ends: dict[str, int]) -> None:
        """Commit rows of a side table, but those that an earlier try has committed."""
        table = self.lake.tables[name]
        fresh = [kept for kept in found if kept.version > table.mark(prefix + kept.application)]
        if fresh:
            marks = {prefix + kept.application: ends[kept.application] for kept in fresh}
            table.write(to_arrow(SIDE_TABLES[name], [kept.row for kept in fresh]), marks)
            reach("ingest.side-written")

    def _home(self, fact: str) -> str:
        return fact if fact in self.lake.facts else "_dead"

    def _mark(self, node: str, lane: str) -> Mark | None:
        """Return a lane's mark; None while nobody can know whose rows it counts."""
        counter, seq = self.mark(node, lane)
        nonce = self.lake.epochs.nonce(node, counter) if counter else 0
        if nonce is None or nonce == ANY:
            return None
        table = self.lake.home(lane.partition("-")[0])
        return Mark(lane, table.id, self.lake.generations.current, table.version, counter, nonce, seq)


def _rows(lost: list[Kept], *, erased: bool) -> int:
    reason, rows = GAP.get_field_index("reason"), GAP.get_field_index("rows")
    return sum(kept.row[rows] for kept in lost if (kept.row[reason] == ERASED) == erased)
