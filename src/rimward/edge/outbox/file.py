"""The outbox's file from one start to the next: new, whole, damaged, or abandoned after a failed fsync.

Beside `outbox.db` lie `outbox.epoch`, the last counter once more (a new file must not begin at 1 again), and
for a while `outbox.broken`: after a failed fsync the kernel counts pages as clean that are not on the disk,
so the file is never written again but copied at the next start (GUARANTEES §3).
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from rimward.edge.outbox.salvage import salvage
from rimward.edge.outbox.schema import SMALL, prepare
from rimward.events import OutboxBroken
from rimward.observe.disk import sync
from rimward.observe.transactions import transaction
from rimward.wire import Epoch, Marks

PARTS = ("", "-wal", "-shm")
COPIED = "copied"
RESERVE = 1 << 20  # bytes that have to be free beside a copy of an abandoned file
CHECKED = 64 << 20  # bytes of a file that is checked as a whole before the node serves: a fifth of a second
# Lanes without rows here, but the newest such one of each fact: the next epoch's `prior` and marks name it.
_SETTLED = """
with spent as (
  select counter, fact, last_seq from lane where not exists (
    select 1 from chunk where chunk.counter = lane.counter and chunk.fact = lane.fact) and not exists (
    select 1 from lost where lost.counter = lane.counter and lost.lane = lane.fact)
)
select counter, fact, last_seq from spent
where counter < (select max(newer.counter) from spent as newer where newer.fact = spent.fact)
"""


def open_file(path: Path, now: int) -> tuple[sqlite3.Connection, Path | None]:
    """Return the file's connection and, where what lay there was damaged, the name it is kept under.

    What can be read of a damaged file is in the new one, and what can't is recorded as lost.

    Raises:
        OutboxBroken: the folder or the file can't be read or written.
    """
    quarantined: Path | None = None
    draft = path.with_suffix(".salvaged")
    try:
        if draft.exists() and not path.exists():  # killed while the two changed places
            _replace(path, path.with_suffix(f".{now}.corrupt"), draft)
        whole = not _marker(path).exists() or _renew(path, now)
        try:
            db = _connect(path) if whole else None
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            db = None
        if db is None:
            quarantined = path.with_suffix(f".{now}.corrupt")
            _salvage(path, draft, now)
            _replace(path, quarantined, draft)
            db = _connect(path)
    except (sqlite3.Error, OSError) as error:
        raise OutboxBroken(f"{path}: {error}") from error
    return db, quarantined


def _salvage(path: Path, draft: Path, now: int) -> None:
    draft.unlink(missing_ok=True)
    try:
        marks = Marks.decode(path.with_name("marks").read_bytes())
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        marks = Marks("", ())
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as fresh:
        prepare(fresh)
        salvage(path, fresh, marks, now)
    sync(draft)


def _replace(path: Path, to: Path, draft: Path) -> None:
    """Put a file aside, and another that is complete in its place."""
    _move(path, to)
    draft.rename(path)
    sync(path.parent)


def begin_epoch(db: sqlite3.Connection, path: Path) -> Epoch:
    """Begin the epoch of this start, on disk; its counter is above that of any before, lost files' too."""
    before: int = db.execute("select coalesce(max(counter), 0) from epoch").fetchone()[0]
    with contextlib.suppress(OSError, ValueError):
        before = max(before, int(path.with_suffix(".epoch").read_text()))
    epoch = Epoch(before + 1, int.from_bytes(os.urandom(4), "big"))
    db.execute("insert into epoch values (?, ?)", (epoch.counter, epoch.nonce))
    note_counter(path, epoch.counter)
    return epoch


def note_counter(path: Path, counter: int) -> None:
    """Write the highest counter down beside the file, on stable storage."""
    draft = path.with_suffix(".epoch.new")
    draft.write_text(str(counter))
    sync(draft)
    draft.replace(path.with_suffix(".epoch"))
    sync(path.parent)
    sync(path.parent.parent)


def settle(db: sqlite3.Connection) -> None:
    """Sum lanes whose rows are all gone into one number a fact: they grow by one with each start."""
    with transaction(db):
        spent = db.execute(_SETTLED).fetchall()
        db.executemany(
            "insert into settled values (?, ?) on conflict (fact) do update set rows = rows + excluded.rows",
            [(fact, rows) for _, fact, rows in spent],
        )
        db.executemany(
            "delete from lane where counter = ? and fact = ?",
            [(counter, fact) for counter, fact, _ in spent],
        )
        db.execute(
            "delete from epoch where counter not in (select counter from lane) "
            "and counter < (select max(counter) from epoch)"
        )


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
        size = path.stat().st_size if path.exists() else 0
        if usage.f_bavail * usage.f_frsize < size + RESERVE:
            return False
        probe.write_bytes(bytes(1 << 16))
        sync(probe)
        probe.unlink()
    except OSError:
        return False
    return True


def read_cells(path: Path) -> dict[str, dict[str, bytes]]:
    """Return every space's keys and values from a file that can't be written, as far as it can be read."""
    spaces: dict[str, dict[str, bytes]] = {}
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            for space, key, value in db.execute("select space, key, value from cell"):
                spaces.setdefault(space, {})[key] = value
    except sqlite3.Error:
        return spaces
    return spaces


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file that is whole as far as a bounded look can tell (docs/adr/0064)."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("pragma busy_timeout=5000")
        _check(db, path.stat().st_size)
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection, size: int) -> None:
    """Check a small file as a whole, and of a large one the tables that are small.

    Raises:
        sqlite3.DatabaseError: it is damaged.
    """
    tables = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
    wanted = [f"('{table}')" for table in SMALL if table in tables] if size > CHECKED else ["(1)"]
    for argument in wanted:
        found = db.execute(f"pragma quick_check{argument}").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)


def _renew(path: Path, now: int) -> bool:
    """Copy an abandoned file and put the copy in its place; killed at any point, it is finished next time.

    Returns False where it can't be read as a whole: it is salvaged as any damaged file.
    """
    marker, fresh = _marker(path), path.with_suffix(".fresh")
    if marker.read_text() != COPIED and path.exists():
        fresh.unlink(missing_ok=True)
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
                old.execute("vacuum into ?", (str(fresh),))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            fresh.unlink(missing_ok=True)
            marker.unlink()
            return False
        sync(fresh)
        marker.write_text(COPIED)
        sync(marker)
        sync(path.parent)
    if fresh.exists():
        _replace(path, path.with_suffix(f".{now}.abandoned"), fresh)
    marker.unlink()
    return True


def _move(path: Path, to: Path) -> None:
    for part in PARTS:
        file = Path(f"{path}{part}")
        if file.exists():
            file.rename(f"{to}{part}")


def _marker(path: Path) -> Path:
    return path.with_suffix(".broken")
