"""The outbox's file: SQLite in WAL mode with synchronous=FULL, written by one thread at a time.

An epoch begins at every open, so nothing that restores or copies a disk can reuse an identity; a fact's rows
are numbered from 1 within it, without gaps. One chunk row per fact and commit: sqlite3 gives the GIL up per
statement, and many small ones made a convoy (docs/adr/0002).
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from rimward.edge.outbox.records import DeadLetter, Forward
from rimward.events import OutboxBroken
from rimward.wire import Epoch, Marks, Row

CHUNK_BYTES = 48 << 10  # a chunk is never larger than an envelope may be
SCHEMA = """
create table if not exists epoch (counter integer primary key, nonce integer not null) strict;
create table if not exists lane (
  counter integer not null, fact text not null, last_seq integer not null, primary key (counter, fact)
) strict, without rowid;
create table if not exists chunk (
  counter integer not null, fact text not null, first integer not null, last integer not null,
  at integer not null, priority text not null, schema text not null,
  crc integer not null, body blob not null, primary key (counter, fact, first)
) strict, without rowid;
create table if not exists cell (
  space text not null, key text not null, value blob not null, primary key (space, key)
) strict, without rowid;
create table if not exists dead (
  id integer primary key autoincrement, at integer not null, bytes integer not null, body blob not null
) strict;
"""


class OutboxCore:
    """Synchronous and without threads; `now` is the wall clock, ns."""

    def __init__(
        self, path: Path, now: Callable[[], int], *, keep_after_commit: float, dead_bytes: int
    ) -> None:
        self.path = path
        self._now = now
        self._keep_after_commit = round(keep_after_commit * 1e9)
        self._dead_bytes_allowed = dead_bytes
        self._encoder = msgspec.msgpack.Encoder()
        self._generation = 0
        self.quarantined: Path | None = None
        self._db = self._open()
        self.epoch = self._new_epoch()
        self.seqs: dict[str, int] = {}  # last number given in this epoch, by fact
        self.bytes = self._scalar("select coalesce(sum(length(body)), 0) from chunk")
        self.dead_bytes = self._scalar("select coalesce(sum(bytes), 0) from dead")
        self.dead_total = self._scalar("select coalesce(max(id), 0) from dead")

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise OutboxBroken(f"{self.path}: {error}") from error
            self.quarantined = self.path.with_suffix(f".{self._now()}.corrupt")
            for suffix in ("", "-wal", "-shm"):
                file = Path(f"{self.path}{suffix}")
                if file.exists():
                    file.rename(f"{self.quarantined}{suffix}")
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=full")
            db.execute("pragma busy_timeout=5000")
            found = db.execute("pragma quick_check(1)").fetchone()[0]
            db.executescript(SCHEMA)
        except BaseException:
            db.close()
            raise
        if found != "ok":
            db.close()
            raise sqlite3.DatabaseError(found)
        return db

    def _new_epoch(self) -> Epoch:
        counter = self._scalar("select coalesce(max(counter), 0) from epoch") + 1
        epoch = Epoch(counter, int.from_bytes(os.urandom(4), "big"))
        self._db.execute("insert into epoch values (?, ?)", (epoch.counter, epoch.nonce))
        return epoch

    def _scalar(self, query: str) -> int:
        return self._db.execute(query).fetchone()[0]

    def number(self, forwards: Iterable[Forward]) -> None:
        """Give rows their sequence numbers, in order."""
        for forward in forwards:
            forward.seq = self.seqs[forward.fact] = self.seqs.get(forward.fact, 0) + 1

    def load(self, space: str) -> dict[str, bytes]:
        """Return a space's keys and values."""
        return dict(self._db.execute("select key, value from cell where space = ?", (space,)).fetchall())

    def commit(
        self,
        forwards: list[Forward],
        puts: dict[tuple[str, str], bytes | None],
        dead: list[DeadLetter],
    ) -> None:
        """Write one group as one transaction; it is on disk when this returns.

        Raises:
            sqlite3.Error: nothing of it was written.
        """
        now = self._now()
        db = self._db
        db.execute("begin immediate")
        try:
            self._insert_rows(forwards, now)
            gone = [place for place, value in puts.items() if value is None]
            kept = [(*place, value) for place, value in puts.items() if value is not None]
            if kept:
                db.executemany("insert or replace into cell values (?, ?, ?)", kept)
            if gone:
                db.executemany("delete from cell where space = ? and key = ?", gone)
            if dead:
                self._bury(dead)
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise

    def _insert_rows(self, forwards: list[Forward], now: int) -> None:
        lanes: dict[str, list[Forward]] = {}
        for forward in forwards:
            lanes.setdefault(forward.fact, []).append(forward)
        for fact, rows in lanes.items():
            for chunk in self._chunks(rows):
                self._db.execute(
                    "insert into chunk values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (self.epoch.counter, fact, chunk[0], chunk[1], now, *chunk[2:]),
                )
                self.bytes += len(chunk[-1])
            self._db.execute(
                "insert or replace into lane values (?, ?, ?)", (self.epoch.counter, fact, rows[-1].seq)
            )

    def _chunks(self, rows: list[Forward]) -> Iterable[tuple[int, int, str, str, int, bytes]]:
        """Yield (first, last, priority, schema, crc, body) of each chunk that the rows need."""
        start, size = 0, 0
        parts: list[bytes] = []
        for index, row in enumerate(rows):
            part = self._encoder.encode(
                Row(
                    row.seq,
                    row.received,
                    row.event,
                    row.time,
                    "unsynced",
                    row.replayed,
                    row.trace,
                    row.values,
                )
            )
            if parts and (size + len(part) > CHUNK_BYTES or row.schema != rows[start].schema):
                yield _chunk(rows[start:index], parts)
                start, size, parts = index, 0, []
            parts.append(part)
            size += len(part)
        yield _chunk(rows[start:], parts)

    def _bury(self, dead: list[DeadLetter]) -> None:
        bodies = [(letter.at, self._encoder.encode(letter)) for letter in dead]
        self._db.executemany(
            "insert into dead (at, bytes, body) values (?, ?, ?)",
            [(at, len(body), body) for at, body in bodies],
        )
        self.dead_total += len(dead)
        self.dead_bytes += sum(len(body) for _, body in bodies)
        while self.dead_bytes > self._dead_bytes_allowed:
            oldest = self._db.execute("select id, bytes from dead order by id limit 64").fetchall()
            for id_, size in oldest:
                if self.dead_bytes <= self._dead_bytes_allowed:
                    break
                self._db.execute("delete from dead where id = ?", (id_,))
                self.dead_bytes -= size

    def forget(self, marks: Marks) -> int:
        """Delete rows that the lake has had for longer than `keep_after_commit`; return how many chunks."""
        before = self._now() - self._keep_after_commit
        deleted = 0
        for mark in marks.marks:
            if mark.generation < self._generation:
                continue
            self._generation = mark.generation
            cursor = self._db.execute(
                "delete from chunk where fact = ? and at < ? "
                "and (counter < ? or (counter = ? and last <= ?))",
                (mark.fact, before, mark.counter, mark.counter, mark.seq),
            )
            deleted += cursor.rowcount
        if deleted:
            self.bytes = self._scalar("select coalesce(sum(length(body)), 0) from chunk")
        return deleted

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _chunk(rows: list[Forward], parts: list[bytes]) -> tuple[int, int, str, str, int, bytes]:
    body = b"".join(parts)
    return (rows[0].seq, rows[-1].seq, rows[0].priority, rows[0].schema, zlib.crc32(body), body)
