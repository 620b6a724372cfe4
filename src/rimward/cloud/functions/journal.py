"""What cloud functions have done, in hub.db: offsets, state, forwards and commands in one fenced transaction.

Unlike what else is in hub.db this is nobody's copy: forwards that are not in the lake yet, commands, cells
and events that wait for another try are here alone. One worker at a time may write: the newest that was
started; every transaction looks whether that is still itself (GUARANTEES §5).
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from rimward.app.commands import Order
from rimward.cloud.commands.desk import enter, waiting
from rimward.cloud.functions.hubdb import open_journal
from rimward.cloud.functions.numbering import begin_epoch
from rimward.events import RimwardError
from rimward.observe.failpoints import reach
from rimward.observe.transactions import transaction

DEAD_KEPT = 100_000  # dead letters of functions; the oldest beyond them go, and are counted


class Fenced(RimwardError):
    """Another worker has begun since: nothing that this one did was taken."""

    code = "fenced"


class Offset(Struct, frozen=True):
    """How far a function has come in a table: every commit before `version`, and `part` rows of it."""

    table: str  # the table's id
    version: int
    part: int = 0


class Parked(Struct, frozen=True):
    """An event that waits: for its next try, or behind one of the same key."""

    id: int
    key: str
    row: dict[str, Any]
    tries: int


class Forwarded(Struct, frozen=True):
    """A fact of a function, on its way to its table."""

    table: str
    schema: str
    priority: str
    values: tuple[Any, ...]
    event: str
    trace: bytes | None


class Given(Struct, frozen=True):
    """A command of a function, on its way to its node."""

    order: Order
    node: str
    key: str
    event: str


class Unit(Struct):
    """What a group of calls has done and commits together."""

    function: str
    now: int  # wall ns
    before: Offset | None  # what the offset must still be
    after: Offset | None
    places: dict[tuple[str, str], int] = {}
    park: list[tuple[str, dict[str, Any], int, int, str | None]] = []  # key, row, tries, due, reason
    delayed: list[tuple[int, int, str]] = []  # id, due, reason: of a parked event that failed again
    unparked: list[int] = []  # ids
    dead: list[tuple[dict[str, Any], str]] = []  # row, reason
    cells: dict[tuple[str, str], bytes] = {}
    forwards: list[Forwarded] = []
    commands: list[Given] = []
    calls: int = 0


class Journal:
    """One worker's hold on the file."""

    def __init__(self, path: Path) -> None:
        self.db: sqlite3.Connection = open_journal(path)
        self.db.execute("insert or ignore into fence values (1, 0)")
        row = self.db.execute("update fence set token = token + 1 returning token").fetchone()
        self._token: int = row[0]

    # -- reading

    def offset(self, function: str) -> Offset | None:
        """Return how far a function has come; None: nowhere."""
        row = self.db.execute(
            "select table_id, version, part from function_offset where function = ?", (function,)
        ).fetchone()
        return None if row is None else Offset(*row)

    def places(self, function: str) -> dict[tuple[str, str], int]:
        """Return the last row that a function had of each node and lane, as transaction versions."""
        rows = self.db.execute("select node, lane, version from place where function = ?", (function,))
        return {(node, lane): version for node, lane, version in rows}

    def parked_keys(self, function: str) -> dict[str, int]:
        """Return how many events wait, by key."""
        return dict(
            self.db.execute("select key, count(*) from parked where function = ? group by key", (function,))
        )

    def due(self, function: str, now: int, most: int) -> list[Parked]:
        """Return the first event of each key whose time has come, the longest parked first."""
        rows = self.db.execute(
            "select id, key, row, tries from parked as one where function = ?1 and due <= ?2 and id = "
            "(select min(id) from parked where function = ?1 and key = one.key) order by id limit ?3",
            (function, now, most),
        ).fetchall()
        return [Parked(id_, key, msgspec.msgpack.decode(row), tries) for id_, key, row, tries in rows]

    def next_due(self) -> int | None:
        """Return when the next event is tried again, wall ns."""
        return self.db.execute("select min(due) from parked where due > 0").fetchone()[0]

    def cell(self, space: str, key: str) -> tuple[bytes, int] | None:
        """Return a cell's value and when it was changed, wall ns."""
        return self.db.execute(
            "select value, at from function_cell where space = ? and key = ?", (space, key)
        ).fetchone()

    def cell_keys(self, space: str) -> list[str]:
        """Return the keys of a state's cells."""
        return [key for (key,) in self.db.execute("select key from function_cell where space = ?", (space,))]

    def commands_waiting(self, node: str) -> int:
        """Return how many commands of a node have no outcome yet."""
        return waiting(self.db, node)

    # -- writing

    def commit(self, unit: Unit) -> None:
        """Write what a group of calls has done, all of it or nothing.

        Raises:
            Fenced: another worker was started, or has moved the offset.
        """
        reach("functions.called")
        with self.transaction():
            self._move(unit)
            self._repark(unit)
            self._bury(unit)
            put_cells = [(*place, value, unit.now) for place, value in unit.cells.items()]
            self.db.executemany("insert or replace into function_cell values (?, ?, ?, ?)", put_cells)
            for forwarded in unit.forwards:
                self._forward(forwarded, unit.now)
            for given in unit.commands:
                self._command(given, unit)
        reach("functions.committed")

    def _move(self, unit: Unit) -> None:
        """Compare the offset with what this worker left there, and set it."""
        if self.offset(unit.function) != unit.before:
            raise Fenced(f"{unit.function}: another worker has moved its offset")
        if unit.after is not None and unit.after != unit.before:
            self.db.execute(
                "insert or replace into function_offset values (?, ?, ?, ?)",
                (unit.function, unit.after.table, unit.after.version, unit.after.part),
            )
        self.db.executemany(
            "insert or replace into place values (?, ?, ?, ?)",
            [(unit.function, *lane, version) for lane, version in unit.places.items()],
        )

    def _repark(self, unit: Unit) -> None:
        self.db.executemany("delete from parked where id = ?", [(id_,) for id_ in unit.unparked])
        self.db.executemany(
            "update parked set tries = tries + 1, due = ?2, reason = ?3 where id = ?1", unit.delayed
        )
        self.db.executemany(
            "insert into parked (function, key, row, tries, due, at, reason) values (?, ?, ?, ?, ?, ?, ?)",
            [
                (unit.function, key, msgspec.msgpack.encode(row), tries, due, unit.now, reason)
                for key, row, tries, due, reason in unit.park
            ],
        )

    def _bury(self, unit: Unit) -> None:
        self.db.executemany(
            "insert into dead_function (at, function, node, counter, seq, reason, lane, row) "
            "values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    unit.now, unit.function, row["_node"], row["_epoch"], row["_seq"], reason, row["_lane"],
                    msgspec.msgpack.encode(row),
                )
                for row, reason in unit.dead
            ],
        )  # fmt: skip
        if unit.dead:
            gone = self.db.execute(
                "delete from dead_function where id <= (select max(id) from dead_function) - ?", (DEAD_KEPT,)
            ).rowcount
            self._count("dead_functions_dropped", gone)

    def _forward(self, one: Forwarded, now: int) -> None:
        seq = self.db.execute(
            "insert into hub_lane values (?, 1) on conflict (table_name) do update set last = last + 1 "
            "returning last",
            (one.table,),
        ).fetchone()[0]
        body = msgspec.msgpack.encode(one.values)
        self.db.execute(
            "insert into hub_row values (?, ?, ?, ?, ?, ?, ?, ?)",
            (one.table, seq, one.schema, one.priority, one.event, one.trace, now, body),
        )

    def _command(self, given: Given, unit: Unit) -> None:
        enter(self.db, given.node, given.key, given.order, unit.now, (unit.function, given.event))

    def begin_epoch(self, marks: dict[str, tuple[int, int]]) -> None:
        """Begin a new epoch of forwards where the lake contradicts this file; see `numbering`."""
        with self.transaction():
            begin_epoch(self.db, marks)

    def rename(self, function: str, was: str) -> None:
        """Let a renamed function go on where it was under its old name."""
        with self.transaction():
            names = (function, was)
            self.db.execute("update or ignore function_offset set function = ? where function = ?", names)
            self.db.execute("update or ignore place set function = ? where function = ?", names)
            self.db.execute("update or ignore position set function = ? where function = ?", names)
            self.db.execute("update parked set function = ? where function = ?", names)

    def rename_cells(self, space: str, was: str) -> None:
        """Move a renamed state's cells."""
        with self.transaction():
            self.db.execute("update or ignore function_cell set space = ? where space = ?", (space, was))

    def forget_cells(self, space: str, before: int) -> None:
        """Delete cells that nobody has changed since, wall ns."""
        with self.transaction():
            self.db.execute("delete from function_cell where space = ? and at < ?", (space, before))

    def adopt(self, function: str, lane: str) -> None:
        """Take over places that an older version kept by node alone."""
        with self.transaction():
            self.db.execute(
                "insert or ignore into place select function, node, ?, version from position "
                "where function = ?",
                (lane, function),
            )
            self.db.execute("delete from position where function = ?", (function,))

    def _count(self, name: str, value: int) -> None:
        if value > 0:
            self.db.execute(
                "insert into counter values (?, ?) "
                "on conflict (name) do update set value = value + excluded.value",
                (name, value),
            )

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit what is written inside, or nothing of it.

        Raises:
            Fenced: another worker was started.
        """
        with transaction(self.db):
            if self.db.execute("select token from fence").fetchone()[0] != self._token:
                raise Fenced("another worker of the cloud functions was started")
            yield

    def close(self) -> None:
        """Close the file."""
        self.db.close()
