"""`commands.db`: commands from the cloud, from the deep process, which writes it, to the I/O process.

With them is what the hub's clock was to this machine's when it was heard last: a command's expiry is the
hub's time, and a node whose own clock is not to be believed can still tell it within the same boot.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from rimward.observe.transactions import transaction
from rimward.wire.commands import COMMANDS, Command, Commands, Wanted

NAME = "commands.db"
ROOM = 10_000  # commands that wait here; the hub keeps the others
SLIP = 1_000_000_000  # ns by which the hub's clock moves against this machine's before that is written down
KEPT = 86_400_000_000_000  # ns that a command stays after its expiry, for its result to be written
SCHEMA = """
create table if not exists command (
  number integer primary key, key text not null, device text not null, name text not null,
  payload blob not null, created integer not null, expires integer not null, timeout real not null,
  idempotent integer not null, store text not null
);
create table if not exists heard (
  only integer primary key check (only = 1), hub text not null, store text not null, last integer not null,
  boot text not null, ahead integer not null
);
"""


class Boot(Struct, frozen=True):
    """This machine's own clock, which nobody can set."""

    id: str  # of the boot
    now: Callable[[], int]  # CLOCK_BOOTTIME, ns


class Heard(Struct, frozen=True):
    """What the node knows of its hub."""

    hub: str = ""
    store: str = ""  # in which it remembers keys, when the hub was heard
    last: int = 0
    boot: str = ""
    ahead: int = 0  # the hub's wall clock less this machine's in that boot, ns


class CommandFile:
    """The deep process's hold on the file."""

    def __init__(self, folder: Path, boot: Boot) -> None:
        self._boot = boot
        self._db = sqlite3.connect(folder / NAME, isolation_level=None, timeout=5, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.executescript(SCHEMA)
        self.heard: Heard = _heard(self._db)

    def wanted(self, store: str) -> Wanted:
        """Return the question for what follows; a store that is new begins from the first."""
        heard, waiting = self.heard, self._db.execute("select count(*) from command").fetchone()[0]
        last = heard.last if heard.store == store else 0
        return Wanted(store, heard.hub, last, max(0, min(COMMANDS, ROOM - waiting)))

    def take(self, answer: Commands, store: str, asked: int) -> int:
        """Keep what the hub gave, and return how many are new; `asked` is the boot's clock at the question.

        Commands are on disk when this returns. Those of another store are done with: the hub knows which of
        them may still be carried out, and gives them again.
        """
        before, commands = self.heard, answer.commands
        same = (before.hub, before.store) == (answer.hub, store)
        last = max([command.number for command in commands], default=before.last if same else 0)
        ahead = answer.at - asked  # never too late: the answer was written after the question
        if same and before.boot == self._boot.id and abs(ahead - before.ahead) < SLIP:
            ahead = before.ahead
        heard = Heard(answer.hub, store, last, self._boot.id, ahead)
        if heard == before and not commands:
            return 0
        with transaction(self._db):
            if not same:
                self._db.execute("delete from command")
            fresh = self._db.executemany(
                "insert or ignore into command values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        one.number, one.key, one.device, one.name, one.payload, one.created, one.expires,
                        one.timeout, one.idempotent, store,
                    )
                    for one in commands
                ],
            ).rowcount  # fmt: skip
            self._db.execute(
                "insert or replace into heard values (1, ?, ?, ?, ?, ?)",
                (heard.hub, heard.store, heard.last, heard.boot, heard.ahead),
            )
        self.heard = heard
        return max(0, fresh)

    def prune(self, done: Iterable[str]) -> None:
        """Forget commands whose results are on their way, and those that are long over."""
        late = self.heard.ahead + self._boot.now() - KEPT
        keys = {key for (key,) in self._db.execute("select key from command")} & set(done)
        over = self._db.execute("select count(*) from command where expires < ?", (late,)).fetchone()[0]
        if not keys and not over:
            return
        with transaction(self._db):
            self._db.executemany("delete from command where key = ?", [(key,) for key in keys])
            self._db.execute("delete from command where expires < ?", (late,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class CommandReader:
    """The I/O process's look at the file; cheap where nothing has changed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._stamp: tuple[int, ...] = ()
        self.commands: list[tuple[Command, str]] = []  # each with the store that it was given to
        self.heard: Heard = Heard()

    def look(self) -> bool:
        """Read the file if it has changed; return whether it has. What can't be read stays as it was."""
        stamp = tuple(_changed(f"{self._path}{part}") for part in ("", "-wal"))
        if stamp == self._stamp or not stamp[0]:
            return False
        try:
            db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error:
            return False
        try:
            rows = db.execute(
                "select number, key, device, name, payload, created, expires, timeout, idempotent, store "
                "from command order by number"
            ).fetchall()
            self.heard = _heard(db)
        except sqlite3.Error:  # it is being made, or the disk fails: the next look tries again
            return False
        finally:
            db.close()
        self.commands = [
            (Command(number, key, device, name, body, created, expires, timeout, bool(twice)), store)
            for number, key, device, name, body, created, expires, timeout, twice, store in rows
        ]
        self._stamp = stamp
        return True


def _heard(db: sqlite3.Connection) -> Heard:
    row = db.execute("select hub, store, last, boot, ahead from heard").fetchone()
    return Heard() if row is None else Heard(*row)


def _changed(path: str) -> int:
    """Return when a file was changed, ns; 0 where it is not there."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 (once a second on the node's loop)
    except OSError:
        return 0
