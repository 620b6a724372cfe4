# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake and duckdb ship partial types)
"""Rows of the lake that are to be forgotten: deleted, counted in the same commit, their files taken away.

Where they were is written to `_gap` first, with a count of none: after a restore nobody looks for them. The
files are deleted at once, with those of every older version, so that no version has the rows any more.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from rimward.cloud.erasing.listing import Rules
from rimward.cloud.ingest.coverage import merged
from rimward.cloud.ingest.replaying import DeadRow, predicate_of, read_dead, rows_of
from rimward.cloud.ingest.schemas import known_in
from rimward.cloud.lake.durable import HOOKS, DurableTable
from rimward.cloud.lake.expiring import counted, gone
from rimward.cloud.lake.small import is_empty
from rimward.cloud.lake.storage import Storage
from rimward.cloud.lake.tables import DEAD, GAP, day_of, to_arrow
from rimward.wire import table_of
from rimward.wire.erasing import ERASED, KNOWN, Erasure

TRIES = 10  # while others commit
TOGETHER = 100  # dead letters in one delete
SHORTEST = 4  # bytes of a value that is looked for in what can't be read
Place = tuple[str, str, int, int]  # node, lane, epoch's counter, number


class LakeEraser:
    """Takes rows out of one lake's tables."""

    def __init__(self, lake: Storage, now: Callable[[], int]) -> None:
        """`now` is the wall clock, ns."""
        self._lake = lake
        self._now = now

    def tables(self) -> list[str]:
        """Return the names of the tables that facts have."""
        return [name for name in self._lake.tables() if not name.startswith("_")]

    def find(self, name: str, erasures: Iterable[Erasure]) -> int:
        """Return how many rows of a table fall under erasures."""
        return len(self._places(self._lake.open(name), name, _asked(erasures, name))[0])

    def erase(self, name: str, erasures: Iterable[Erasure]) -> tuple[int, int]:
        """Take rows out of a table; return how many, and how many files are deleted.

        Raises:
            CommitFailedError: others committed each time.
        """
        asked = _asked(erasures, name)
        for attempt in range(TRIES):
            try:
                return self._erase(name, asked)
            except (CommitFailedError, DeltaError):
                if attempt == TRIES - 1:
                    raise
        raise AssertionError

    def _erase(self, name: str, asked: list[Erasure]) -> tuple[int, int]:
        table = self._table(name)
        places, predicate = self._places(table.handle, name, asked)
        if not places:
            return 0, 0
        totals = Counter(place[0] for place in places)
        self._note(name, places)
        marks = {
            counted(ERASED, node, name): gone(table.handle, ERASED, node, name) + rows
            for node, rows in totals.items()
        }
        table.delete(predicate, marks)
        return len(places), _vacuum(table)

    def _table(self, name: str) -> DurableTable:
        return DurableTable(self._lake, name, pa.schema(self._lake.open(name).schema().to_arrow()))

    def _places(self, table: DeltaTable, name: str, asked: list[Erasure]) -> tuple[list[Place], str]:
        """Return where the rows are that fall under erasures, and the predicate that deletes them."""
        known = {field.name for field in table.schema().fields}
        asked = [one for one in asked if one.field in known]
        if not asked or is_empty(table):
            return [], ""
        import duckdb

        with duckdb.connect(":memory:") as db:
            db.execute("set timezone='UTC'")
            db.register("data", table.to_pyarrow_dataset())
            terms = list[tuple[Erasure, list[str]]]()
            for one in asked:
                values = db.execute(f"select distinct {_name(one.field)} from data").fetchall()  # noqa: S608 (quoted)
                if found := [_literal(value) for (value,) in values if one.takes(value)]:
                    terms.append((one, found))
            if not terms:
                return [], ""
            lane = "coalesce(_lane, $name)" if "_lane" in known else "$name"
            where = " or ".join(_where(*term, "timestamptz '{}'") for term in terms)
            rows = db.execute(f"select _node, {lane}, _epoch, _seq from data where {where}", {"name": name})  # noqa: S608 (quoted)
            places = rows.fetchall()
        cast = "arrow_cast('{}', 'Timestamp(Microsecond, Some(\"UTC\"))')"
        return places, " or ".join(_where(*term, cast) for term in terms)

    def _note(self, fact: str, places: Iterable[Place]) -> None:
        """Write down where rows were; they are counted elsewhere."""
        spans: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
        for node, lane, counter, seq in places:
            spans.setdefault((node, lane, counter), []).append((seq, seq))
        now = self._now()
        rows = [
            (fact, first, last, 0, ERASED, now // 1000, None, node, counter, day_of(now),
             None if lane == table_of(lane) else lane)
            for (node, lane, counter), found in spans.items()
            for first, last in merged(found)
        ]  # fmt: skip
        DurableTable(self._lake, "_gap", GAP).write(to_arrow(GAP, rows), {})

    # -- dead letters

    def find_dead(self, erasures: Iterable[Erasure], plain: str = "") -> int:
        """Return how many rows dead letters have that fall under erasures."""
        try:
            return sum(one.rows for one in self._dead(self._lake.open("_dead"), list(erasures), plain))
        except TableNotFoundError:
            return 0

    def erase_dead(self, erasures: Iterable[Erasure], plain: str = "") -> tuple[int, int]:
        """Take dead letters away; return how many rows they had, and how many files are deleted.

        `plain` is the value, as far as it is still known: it is looked for in what can't be read.

        Raises:
            CommitFailedError: others committed each time.
        """
        asked, rows = list(erasures), 0
        if "_dead" not in self._lake.tables():
            return 0, 0
        for _ in range(TRIES):
            table = DurableTable(self._lake, "_dead", DEAD)
            found = self._dead(table.handle, asked, plain)
            if not found:
                return rows, _vacuum(table) if rows else 0
            try:
                for start in range(0, len(found), TOGETHER):
                    rows += self._bury(table, found[start : start + TOGETHER])
            except (CommitFailedError, DeltaError):
                continue
        raise CommitFailedError("the table of dead letters is written by others all the time")

    def _bury(self, table: DurableTable, found: list[DeadRow]) -> int:
        totals = Counter[tuple[str, str]]()
        for one in found:
            totals[one.node, one.fact] += one.rows
            first = one.seq - one.rows + 1
            self._note(one.fact, [(one.node, one.lane, one.epoch, seq) for seq in range(first, one.seq + 1)])
        marks = {
            counted(ERASED, *key): gone(table.handle, ERASED, *key) + rows for key, rows in totals.items()
        }
        table.delete(predicate_of(found), marks)
        return sum(totals.values())

    def _dead(self, table: DeltaTable, asked: list[Erasure], plain: str) -> list[DeadRow]:
        found = read_dead(table)
        forms = known_in(self._lake.open("_schemas")) if found else {}
        rules = {one.fact: Rules(_asked(asked, one.fact)) for one in found}
        return [
            one
            for one in found
            if any(
                rules[one.fact].takes(row, forms.get(one.fact, {}).get(one.schema)) for row in rows_of(one)
            )
            or (len(plain.encode()) >= SHORTEST and plain.encode() in one.body)
        ]


def _asked(erasures: Iterable[Erasure], name: str) -> list[Erasure]:
    return [one for one in erasures if one.concerns(name)]


def _vacuum(table: DurableTable) -> int:
    """Delete every file that the newest version has not."""
    files = table.handle.vacuum(
        retention_hours=0, dry_run=False, enforce_retention_duration=False, post_commithook_properties=HOOKS
    )
    table.refresh()
    table.checkpoint()
    return len(files)


def _where(one: Erasure, values: list[str], moment: str) -> str:
    """Return what selects the rows of an erasure: all but those that are known to be of later."""
    at = moment.format(datetime.fromtimestamp(one.at / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    clocks = ", ".join(f"'{clock}'" for clock in KNOWN)
    return (
        f"({_name(one.field)} in ({', '.join(values)}) and (_received_at <= {at} or _time is null or "
        f"_time <= {at} or coalesce(_replayed, false) or _clock is null or _clock not in ({clocks})))"
    )


def _name(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
