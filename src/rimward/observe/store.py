"""The file that kept traces and the newest snapshot live in. Synchronous; one writer, any number of readers.

What it holds may be lost with the power (`synchronous=OFF`), never with the process (WAL). It stays under
its cap by dropping the oldest traces. It does no I/O until `open`.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

import msgspec

from rimward.observe.records import Snapshot, Trace

VERSION = 1  # of the tables; a file of another version is moved aside
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
_SCHEMA = f"""
BEGIN;
CREATE TABLE trace (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX trace_id ON trace (id);
CREATE TABLE snapshot (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL, body BLOB NOT NULL);
PRAGMA user_version = {VERSION};
COMMIT;
"""
_ROW_OVERHEAD = 200  # bytes a trace takes beside its body: keys, index, free space of pages
_WAL_BYTES = 4 << 20  # the write-ahead log is cut back to this after a checkpoint


Row = tuple[str, int, bytes]  # of a trace: its id, its time in wall ns, its body
Figures = tuple[int, bytes]  # of a snapshot: its time in wall ns, its body


def trace_row(trace: Trace) -> Row:
    """Return a trace as it is stored.

    Raises:
        ValueError, OverflowError, TypeError: it holds what msgpack or SQLite can't.
    """
    if not -(1 << 63) <= trace.at < 1 << 63:
        raise OverflowError(f"trace {trace.id}: its time is {trace.at} ns")
    return trace.id, trace.at, msgspec.msgpack.encode(trace)


def snapshot_row(snapshot: Snapshot) -> Figures:
    """Return a snapshot as it is stored; raises as `trace_row` does."""
    if not -(1 << 63) <= snapshot.at < 1 << 63:
        raise OverflowError(f"snapshot: its time is {snapshot.at} ns")
    return snapshot.at, msgspec.msgpack.encode(snapshot)


class Damaged(Exception):
    """The file is not a trace file of this version."""


class TraceStore:
    """An open trace file, for its one writer."""

    def __init__(self, connection: sqlite3.Connection, max_bytes: int) -> None:
        self._db = connection
        self._max_bytes = max_bytes
        self.dropped: int = 0  # traces that made room for newer ones

    @classmethod
    def open(cls, path: Path, max_bytes: int) -> Self:
        """Open the file, or make it.

        Raises:
            Damaged: it is not one of ours; nothing was changed.
            sqlite3.OperationalError: the folder or the disk does not allow it.
        """
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.25)
        try:
            _prepare(db)
        except sqlite3.DatabaseError as error:
            db.close()
            if error.sqlite_errorcode & 0xFF in _DAMAGE:
                raise Damaged(str(error)) from error
            raise
        except Damaged:
            db.close()
            raise
        return cls(db, max_bytes)

    def write(self, rows: Sequence[Row], snapshot: Figures | None) -> None:
        """Add traces and replace the snapshot, in one transaction.

        Raises:
            Damaged: the file's content is broken.
            sqlite3.OperationalError: the disk is full or read-only; nothing was written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._make_room(sum(len(body) + _ROW_OVERHEAD for _, _, body in rows))
                self._db.executemany("INSERT INTO trace (id, at, body) VALUES (?, ?, ?)", rows)
                if snapshot is not None:
                    self._db.execute("REPLACE INTO snapshot VALUES (1, ?, ?)", snapshot)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in _DAMAGE:
                raise Damaged(str(error)) from error
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _make_room(self, wanted: int) -> None:
        """Delete the oldest tenth until `wanted` bytes fit under the cap, which keeps room for the log."""
        cap = max(0, self._max_bytes - min(_WAL_BYTES, self._max_bytes // 8))
        while self._used() + wanted > cap:
            first, last = self._db.execute("SELECT min(seq), max(seq) FROM trace").fetchone()
            if first is None:
                return
            upto = first + (last - first) // 10
            self.dropped += self._db.execute("DELETE FROM trace WHERE seq <= ?", (upto,)).rowcount

    def _used(self) -> int:
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        return (pages - free) * size


def _prepare(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version != VERSION and tables:
        raise Damaged(f"the file is of version {version}, this program reads {VERSION}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    if not tables:
        db.executescript(_SCHEMA)
    db.execute("SELECT max(seq) FROM trace").fetchone()


def move_aside(path: Path) -> Path:
    """Rename a damaged file to `NAME.damaged`, over an earlier one, and return where it went."""
    aside = path.with_name(path.name + ".damaged")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


class TraceReader:
    """Reads a trace file that another process writes."""

    def __init__(self, path: Path) -> None:
        self._uri = path.absolute().as_uri() + "?mode=ro"

    def rows(self, query: str, parameters: tuple[str | int, ...] = ()) -> list[tuple[bytes]] | None:
        """Return a query's rows, or None where there is no such file or it can't be read."""
        try:
            with closing(sqlite3.connect(self._uri, uri=True, timeout=1.0)) as db:
                return db.execute(query, parameters).fetchall()
        except sqlite3.DatabaseError:
            return None
