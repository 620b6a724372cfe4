# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""The lake as its writer has it open: every table, the marks in them, and whether they were restored.

A table that was restored keeps the transactions that were committed to it, and has not their rows: marks
are then lowered to what the rows say, and only after that the generation is raised (docs/adr/0072).
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deltalake.exceptions import CommitFailedError

from rimward.app.manifest import FactSpec
from rimward.cloud.ingest.coverage import Coverage
from rimward.cloud.ingest.epochs import Epochs
from rimward.cloud.ingest.generations import Generations, InProcess, Memory, Seen
from rimward.cloud.ingest.returning import returned
from rimward.cloud.ingest.schemas import Schemas
from rimward.cloud.lake.durable import DurableTable
from rimward.cloud.lake.storage import Storage, storage_of
from rimward.cloud.lake.tables import DEAD, EPOCHS, GAP, GENERATIONS, SCHEMAS, schema_of, to_arrow
from rimward.observe import Logger, get_logger
from rimward.wire import Place, split_version, table_of, transaction_id, transaction_version

log: Logger = get_logger("rimward.ingest")

SIDE_TABLES = {"_dead": DEAD, "_gap": GAP}
OWN_TABLES = {"_epochs": EPOCHS, "_schemas": SCHEMAS, "_generations": GENERATIONS}
UNKNOWN = "unknown:"  # prefix of marks of facts that the app did not have: all their rows are dead letters
HIGH = "high:"  # prefix of how far a lane was before a restore: up to there its rows are looked for first
TRIES = 5  # to lower marks while others commit
LANES = 4  # that a fact has beside its own, where what is new may overtake
GENERATIONS_MOST = 1 << 31  # no node may push the generation beyond


class OpenLake:
    """Every table of one lake, for one writing process."""

    def __init__(
        self,
        lake: Storage | Path,
        facts: Iterable[FactSpec],
        now: Callable[[], int],
        memory: Memory | None = None,
    ) -> None:
        """`now` is the wall clock, ns; `memory` outlives this process.

        Raises:
            SchemaChanged: a fact's column has another type than before.
        """
        self.facts: dict[str, FactSpec] = {fact.table: fact for fact in facts}
        self._storage = storage_of(lake)
        self._now = now
        self._memory = memory
        self._own_memory = InProcess()
        self._knew: int | None = None  # the generation at the last look
        self.tables: dict[str, DurableTable] = {}
        self.open()

    def open(self) -> None:
        """Open every table, or look at it as it is now; where one was restored, lower marks first."""
        seen, knew = self._remembered(), self._knew  # first: what others commit from here on is no surprise
        self._open()
        if knew is not None and self.generations.current > knew:
            seen = seen[1:]  # what this process remembers is of before: another one has found it restored
        if reasons := self._surprises(seen):
            self.restored(reasons)
        self.note()

    def _open(self) -> None:
        self._covered: dict[str, Coverage] = {}
        self.generations: Generations = Generations(self._opened("_generations", GENERATIONS))
        self.schemas: Schemas = self._known_schemas()
        self.schema_of: dict[str, Any] = {
            fact: schema_of(self.schemas.columns(fact)) for fact in self.facts
        } | SIDE_TABLES
        for name, schema in {**self.schema_of, "_epochs": EPOCHS}.items():
            self._opened(name, schema)
        self.epochs: Epochs = Epochs(self.tables["_epochs"])
        if self.tables["_epochs"].created:
            self._recover_epochs()

    def _known_schemas(self) -> Schemas:
        for _ in range(TRIES):
            with contextlib.suppress(CommitFailedError):  # another process has just added the same ones
                schemas = Schemas(self._opened("_schemas", SCHEMAS), self.facts)
                schemas.add(self._now())
                return schemas
        raise CommitFailedError("the table of schemas is written by others all the time")

    def _opened(self, name: str, schema: Any) -> DurableTable:
        table = self.tables.get(name)
        if table is None:
            table = self.tables[name] = DurableTable(self._storage, name, schema)
        else:
            table.reopen()
        return table

    def _recover_epochs(self) -> None:
        self.epochs.recover(self.tables[name].handle for name in (*self.facts, *SIDE_TABLES))

    # -- marks

    def home(self, fact: str) -> DurableTable:
        """Return the table that has a fact's marks: its own, or that of dead letters."""
        return self.tables[fact if fact in self.facts else "_dead"]

    def application(self, node: str, lane: str) -> str:
        """Return the transaction id of a lane's mark in its home."""
        known = table_of(lane) in self.facts
        return transaction_id(node, lane) if known else UNKNOWN + transaction_id(node, lane)

    def mark(self, node: str, lane: str) -> Place:
        """Return the last row of a lane that the lake has accounted for."""
        application = transaction_id(node, lane)
        version = self.tables["_dead"].mark(UNKNOWN + application)
        if table_of(lane) in self.facts:
            version = max(version, self.home(table_of(lane)).mark(application))
        return split_version(version)

    def high(self, node: str, lane: str) -> Place:
        """Return how far a lane was before the lake was restored."""
        application = HIGH + self.application(node, lane)
        return split_version(self.home(table_of(lane)).mark(application))

    def coverage(self, fact: str) -> Coverage:
        """Return which rows of a fact are accounted for; read once after the tables were opened."""
        if fact not in self._covered:
            table = self.tables[fact].handle if fact in self.facts else None
            sides = {name: self.tables[name].handle for name in SIDE_TABLES}
            self._covered[fact] = Coverage(fact, table, sides)
        return self._covered[fact]

    def lanes(self, fact: str) -> list[str]:
        """Return the names of the lanes that end in a fact's table."""
        spec = self.facts.get(fact)
        more = LANES if spec is None or spec.keeping.live_first else 0
        return [fact, *(f"{fact}-{number}" for number in range(1, more + 1))]

    # -- restores

    def look(self) -> bool:
        """Look at what others have done to the tables; tell whether marks may have changed.

        It raises what opening them raises.
        """
        if any(not table.there() for table in self.tables.values()):
            log.error("tables were deleted under the hub")
            self.open()
            return True
        before = self._versions()
        moved = [name for name, table in self.tables.items() if table.refresh()]
        if "_generations" in moved or self._surprises([before]):
            self.open()
            return True
        if moved:
            self._covered = {}
        if "_epochs" in moved:
            self.epochs = Epochs(self.tables["_epochs"])
        self.note()
        return bool(moved)

    def note(self) -> None:
        """Remember the versions that are there now."""
        self._own_memory.saw(self._versions())
        self._knew = self.generations.current

    def _remembered(self) -> list[Seen]:
        found = [self._own_memory.seen()]
        if self._memory is not None:
            try:
                found.append(self._memory.seen())
            except sqlite3.Error as error:
                log.error("the hub's own file can't be read", error=str(error))  # noqa: TRY400 (one line)
        return found

    def _versions(self) -> Seen:
        return {name: (table.id, table.version) for name, table in self.tables.items()}

    def _surprises(self, seen: list[Seen]) -> list[str]:
        """Return what says that tables are not what they were."""
        found: list[str] = []
        for name, table in self.tables.items():
            looked = -1  # the version up to which a restore was taken account of, or can't have been
            for known in (*seen, self.generations.handled):
                id_, version = known.get(name, (table.id, -1))
                if id_ != table.id and known is not self.generations.handled:
                    found.append(f"{name} is another table")
                elif id_ == table.id and version > table.version:
                    found.append(f"{name} has version {table.version}, and had {version}")
                elif id_ == table.id:
                    looked = max(looked, version)
            if table.restored(looked) > looked:
                found.append(f"{name} was restored")
        return list(dict.fromkeys(found))

    def restored(self, reasons: list[str], floor: int = 0) -> None:
        """Lower marks to what the rows say, then begin a generation above `floor`.

        Raises:
            CommitFailedError: others committed each time.
        """
        for attempt in range(TRIES):
            try:
                self._recover_epochs()
                for fact in (*self.facts, *self._unknown_facts()):
                    self._lower(fact)
                generation = min(max(self.generations.current, floor) + 1, GENERATIONS_MOST)
                self.generations.add(generation, "; ".join(reasons), self._versions(), self._now())
            except CommitFailedError:
                if attempt == TRIES - 1:
                    raise
                current = self.generations.current
                self._open()
                if self.generations.current > max(current, floor):
                    return  # another process has done it, and what is open now has its marks
            else:
                break
        self._forget()
        log.error("the lake was restored: marks go back to what its rows say", reason="; ".join(reasons),
                  generation=self.generations.current)  # fmt: skip

    def _forget(self) -> None:
        self._covered = {}
        self._own_memory.saw(self._versions(), anew=True)
        if self._memory is not None:
            try:
                self._memory.saw(self._versions(), anew=True)
            except sqlite3.Error as error:
                log.error("the hub's own file can't be written", error=str(error))  # noqa: TRY400 (one line)

    def _unknown_facts(self) -> list[str]:
        rows: Any = self.tables["_dead"].handle.to_pyarrow_dataset().to_table(columns=["fact"])
        return sorted(set(rows.column("fact").unique().to_pylist()) - set(self.facts))

    def _lower(self, fact: str) -> None:
        """Set a fact's marks back to what its rows, dead letters and losses say, side tables first."""
        self._covered.pop(fact, None)
        coverage, home = self.coverage(fact), self.home(fact)
        aside: dict[str, dict[str, int]] = {"_gap": {}, "_dead": {}}
        known = self.generations.handled.get(fact, (home.id, -1))
        since = known[1] if known[0] == home.id else -1
        marks: dict[str, int] = returned(home, fact, since) if fact in self.facts else {}
        prefixes = [("_gap", "gap:"), ("_dead", "dead:")] + [("_dead", UNKNOWN)] * (fact in self.facts)
        for node in sorted(self.epochs.nodes()):
            for lane in self.lanes(fact):
                old = self.mark(node, lane)
                new = coverage.reached(node, lane, self.epochs.priors(node, lane))
                if new >= old:
                    continue
                application, version = transaction_id(node, lane), transaction_version(*new)
                for name, prefix in prefixes:
                    if self.tables[name].mark(prefix + application) > version:
                        aside[name][prefix + application] = version
                high = max(old, self.high(node, lane), coverage.top(node, lane))
                marks[self.application(node, lane)] = version
                marks[HIGH + self.application(node, lane)] = transaction_version(*high)
        for name, lowered in aside.items():
            if lowered:
                self.tables[name].write(to_arrow(SIDE_TABLES[name], []), lowered)
        if marks:
            empty = to_arrow(self.schema_of[fact if fact in self.facts else "_dead"], [])
            home.write(empty, marks)
