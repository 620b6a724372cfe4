"""Events that a cloud function could not work on, and those that wait for another try: seen and replayed."""

import sqlite3
from collections.abc import Generator, Iterable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from rimward.cloud.functions.hubdb import open_journal
from rimward.observe.transactions import transaction


class DeadEvent(Struct, frozen=True):
    """One event that a function gave up."""

    id: int
    at: int  # wall ns
    function: str
    node: str
    counter: int  # of the row's epoch
    seq: int
    reason: str
    lane: str | None  # None: kept by an older version, which did not keep the row either
    row: dict[str, Any] | None  # as the table has it


class WaitingEvent(Struct, frozen=True):
    """One event that failed and is tried again, or waits behind one of the same key."""

    id: int
    at: int  # wall ns at which it was put aside
    function: str
    key: str
    tries: int
    due: int  # wall ns of the next try; 0: as soon as those before it are done
    reason: str | None
    row: dict[str, Any]


def list_dead(data: Path, *, most: int = 1000) -> list[DeadEvent]:
    """Return the newest dead letters of cloud functions, oldest first."""
    with _reading(data) as db:
        rows = db.execute(
            "select id, at, function, node, counter, seq, reason, lane, row from dead_function "
            "order by id desc limit ?",
            (most,),
        ).fetchall()
    return [
        DeadEvent(id_, at, function, node, counter, seq, reason, lane, None if row is None else _row(row))
        for id_, at, function, node, counter, seq, reason, lane, row in reversed(rows)
    ]


def list_waiting(data: Path, *, most: int = 1000) -> list[WaitingEvent]:
    """Return events that wait for another try, the longest waiting first."""
    with _reading(data) as db:
        rows = db.execute(
            "select id, at, function, key, tries, due, reason, row from parked order by id limit ?", (most,)
        ).fetchall()
    return [
        WaitingEvent(id_, at, function, key, tries, due, reason, _row(row))
        for id_, at, function, key, tries, due, reason, row in rows
    ]


def replay(data: Path, ids: Iterable[int], now: int) -> int:
    """Let functions try dead letters again, and return how many; `now` is wall ns.

    Each runs on its own, with the id that it had: ahead of what waits for nothing, behind its key. Those that
    an older version kept have no row to try again and stay.
    """
    count = 0
    with _reading(data) as db, transaction(db):
        for id_ in ids:
            count += db.execute(
                "insert into parked (function, key, row, tries, due, at, reason) "
                "select function, 'replay:' || id, row, 0, 1, ?, reason from dead_function "
                "where id = ? and row is not null",
                (now, id_),
            ).rowcount
            db.execute("delete from dead_function where id = ? and row is not null", (id_,))
    return count


def hasten(data: Path, ids: Iterable[int]) -> int:
    """Let events that wait be tried at once, and return how many."""
    with _reading(data) as db, transaction(db):
        return sum(
            db.execute("update parked set due = 1 where id = ? and due > 0", (id_,)).rowcount for id_ in ids
        )


@contextmanager
def _reading(data: Path) -> Generator[sqlite3.Connection]:
    with closing(open_journal(data / "hub" / "hub.db")) as db:
        yield db


def _row(body: bytes) -> dict[str, Any]:
    return msgspec.msgpack.decode(body)
