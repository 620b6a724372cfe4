"""The hub's own file: a log of envelopes, counters, offsets of cloud functions, and what they could not do.

Nothing that keeps a node's rows from being lost is in it. What cloud functions have done is (`hubdb`): where
it is deleted, they run on all rows again.
"""

import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rimward.cloud.ingest.envelopes import Outcome
from rimward.cloud.ledger.reports import Reports
from rimward.observe.transactions import transaction

if TYPE_CHECKING:
    from rimward.cloud.ingest.generations import Seen  # it opens tables, and people's views don't

SCHEMA = """
create table if not exists envelope (
  node text, counter integer, nonce integer, fact text, first integer, last integer, sealed_at integer,
  received_at integer, committed_at integer, version integer,
  primary key (node, counter, fact, first)
) without rowid;
create table if not exists position (
  function text, node text, version integer, primary key (function, node)
) without rowid;
create table if not exists dead_function (
  id integer primary key, at integer, function text, node text, counter integer, seq integer, reason text
);
create table if not exists counter (name text primary key, value integer not null);
create table if not exists seen (name text primary key, id text not null, version integer not null);
"""
ENVELOPES_KEPT = 100_000
PRUNE_EVERY = 256  # batches
COUNTED = ("stored", "dead", "lost", "erased", "duplicates", "gaps", "clashes")


def connect(path: Path) -> sqlite3.Connection:
    """Open hub.db."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.executescript(SCHEMA)
    return db


class Records:
    """What ingest writes down about its work, for people and traces, and what it remembers of the tables.

    Any thread may ask; each waits for the one before.
    """

    def __init__(self, path: Path) -> None:
        self._db = connect(path)
        self._turn = threading.Lock()
        self._batches = 0
        self.reports: Reports = Reports(path)

    def note(self, outcome: Outcome, committed_at: int) -> None:
        """Write down a batch; `committed_at` is wall ns."""
        with self._transaction():
            self._note(outcome, committed_at)

    def _note(self, outcome: Outcome, committed_at: int) -> None:
        self._db.executemany(
            "insert or ignore into envelope values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (one.lane.node, one.lane.epoch.counter, one.lane.epoch.nonce, one.lane.fact,
                 one.header.first, one.header.last, one.header.sealed_at, one.received_at, committed_at,
                 outcome.version)
                for one in outcome.taken
            ],
        )  # fmt: skip
        self._add({name: getattr(outcome, name) for name in COUNTED})
        self._saw(outcome.seen)
        self._batches += 1
        if self._batches % PRUNE_EVERY == 0:
            self._db.execute(
                "delete from envelope where committed_at < (select committed_at from envelope "
                "order by committed_at desc limit 1 offset ?)",
                (ENVELOPES_KEPT,),
            )

    def add(self, counts: Mapping[str, int]) -> None:
        """Raise counters."""
        with self._transaction():
            self._add(counts)

    def seen(self) -> "Seen":
        """Return the newest version of each table that was there."""
        with self._turn:
            rows = self._db.execute("select name, id, version from seen").fetchall()
        return {name: (id_, version) for name, id_, version in rows}

    def saw(self, seen: "Seen", *, anew: bool = False) -> None:
        """Remember versions; lower ones only `anew`."""
        with self._transaction():
            if anew:
                self._db.execute("delete from seen")
            self._saw(seen)

    def _saw(self, seen: "Seen") -> None:
        self._db.executemany(
            "insert into seen values (?, ?, ?) on conflict (name) do update set id = excluded.id, "
            "version = excluded.version where excluded.version > version or excluded.id <> id",
            [(name, id_, version) for name, (id_, version) in seen.items()],
        )

    def counters(self) -> dict[str, int]:
        """Return every figure."""
        with self._turn:
            return dict(self._db.execute("select name, value from counter").fetchall())

    def put(self, name: str, value: int) -> None:
        """Write down a figure as it is now."""
        with self._transaction():
            self._db.execute("insert or replace into counter values (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """Commit what is written inside, or nothing of it where the disk refuses."""
        with self._turn, transaction(self._db):
            yield

    def _add(self, counts: Mapping[str, int]) -> None:
        self._db.executemany(
            "insert into counter values (?, ?) "
            "on conflict (name) do update set value = value + excluded.value",
            [(name, value) for name, value in counts.items() if value],
        )

    def close(self) -> None:
        """Close the file, once nobody uses it."""
        self.reports.close()
        with self._turn:
            self._db.close()


def hub_status(data: Path) -> dict[str, int]:
    """Return the hub's figures, by name."""
    path = data / "hub" / "hub.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return dict(db.execute("select name, value from counter").fetchall())
