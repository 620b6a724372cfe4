"""The outbox's file from one start to the next: new, whole, damaged, or abandoned after a failed fsync.

Beside `outbox.db` lie `outbox.epoch`, the last counter once more (a new file must not begin at 1 again), and
for a while `outbox.broken`: after a failed fsync the kernel counts pages as clean that are not on the disk,
so the file is never written again but copied at the next start (GUARANTEES §3).
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from rimward.events import OutboxBroken
from rimward.wire import Epoch

SCHEMA = """
create table if not exists epoch (counter integer primary key, nonce integer not null) strict;
create table if not exists lane (
  counter integer not null, fact text not null, last_seq integer not null, primary key (counter, fact)
) strict, without rowid;
create table if not exists settled (fact text primary key, rows integer not null) strict, without rowid;
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
PARTS = ("", "-wal", "-shm")
COPIED = "copied"
RESERVE = 1 << 20  # bytes that have to be free beside a copy of an abandoned file
# Lanes without rows here, but the newest such one of each fact: the next epoch's `prior` and marks name it.
_SETTLED = """
with spent as (
  select counter, fact, last_seq from lane where not exists (
    select 1 from chunk where chunk.counter = lane.counter and chunk.fact = lane.fact)
)
select counter, fact, last_seq from spent
where counter < (select max(newer.counter) from spent as newer where newer.fact = spent.fact)
"""


def open_file(path: Path, now: int) -> tuple[sqlite3.Connection, Path | None]:
    """Return the file's connection and, where what lay there was damaged, the name it is kept under.

    Raises:
        OutboxBroken: the folder or the file can't be read or written.
    """
    quarantined: Path | None = None
    try:
        if _marker(path).exists():
            _renew(path, now)
        try:
            db = _connect(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            quarantined = path.with_suffix(f".{now}.corrupt")
            _move(path, quarantined)
            db = _connect(path)
    except (sqlite3.Error, OSError) as error:
        raise OutboxBroken(f"{path}: {error}") from error
    return db, quarantined


def begin_epoch(db: sqlite3.Connection, path: Path) -> Epoch:
    """Begin the epoch of this start, on disk; its counter is above that of any before, lost files' too."""
    beside = path.with_suffix(".epoch")
    before: int = db.execute("select coalesce(max(counter), 0) from epoch").fetchone()[0]
    with contextlib.suppress(OSError, ValueError):
        before = max(before, int(beside.read_text()))
    epoch = Epoch(before + 1, int.from_bytes(os.urandom(4), "big"))
    db.execute("insert into epoch values (?, ?)", (epoch.counter, epoch.nonce))
    draft = path.with_suffix(".epoch.new")
    draft.write_text(str(epoch.counter))
    sync(draft)
    draft.replace(beside)
    sync(path.parent)
    sync(path.parent.parent)
    return epoch


def settle(db: sqlite3.Connection) -> None:
    """Sum lanes whose rows are all gone into one number a fact: they grow by one with each start."""
    db.execute("begin immediate")
    spent = db.execute(_SETTLED).fetchall()
    db.executemany(
        "insert into settled values (?, ?) on conflict (fact) do update set rows = rows + excluded.rows",
        [(fact, rows) for _, fact, rows in spent],
    )
    db.executemany(
        "delete from lane where counter = ? and fact = ?", [(counter, fact) for counter, fact, _ in spent]
    )
    db.execute(
        "delete from epoch where counter not in (select counter from lane) "
        "and counter < (select max(counter) from epoch)"
    )
    db.execute("commit")


def give_up(path: Path) -> None:
    """Note that the file must not be written again; the next start copies what can be read of it.

    Raises:
        OSError: the disk refuses that too.
    """
    _marker(path).touch()
    sync(path.parent)


def writable(path: Path) -> bool:
    """Tell whether the disk takes and syncs bytes beside the file, and has room for a copy of it."""
    probe = path.with_suffix(".probe")
    try:
        usage = os.statvfs(path.parent)
        if usage.f_bavail * usage.f_frsize < path.stat().st_size + RESERVE:
            return False
        probe.write_bytes(bytes(1 << 16))
        sync(probe)
        probe.unlink()
    except OSError:
        return False
    return True


def sync(path: Path) -> None:
    """Put a file's bytes, or a folder's names, on stable storage."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
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


def _renew(path: Path, now: int) -> None:
    """Copy an abandoned file and put the copy in its place; killed at any point, it is finished next time."""
    marker, fresh = _marker(path), path.with_suffix(".fresh")
    if marker.read_text() != COPIED and path.exists():
        fresh.unlink(missing_ok=True)
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
                old.execute("vacuum into ?", (str(fresh),))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            marker.unlink()  # not even readable: it is quarantined as any damaged file
            return
        sync(fresh)
        marker.write_text(COPIED)
        sync(marker)
        sync(path.parent)
    if fresh.exists():
        _move(path, path.with_suffix(f".{now}.abandoned"))
        fresh.rename(path)
        sync(path.parent)
    marker.unlink()


def _move(path: Path, to: Path) -> None:
    for part in PARTS:
        file = Path(f"{path}{part}")
        if file.exists():
            file.rename(f"{to}{part}")


def _marker(path: Path) -> Path:
    return path.with_suffix(".broken")
