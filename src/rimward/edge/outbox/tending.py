"""What the outbox's writer does between commits: frees, expires, re-keys, and looks at the disk."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from rimward.edge.outbox.core import OutboxCore
from rimward.edge.outbox.notes import Damage, Link, Note
from rimward.edge.outbox.rekeying import Rekey
from rimward.observe import Logger, get_logger
from rimward.observe.disk import sync
from rimward.wire import Marks
from rimward.wire.erasing import Erased, Orders

log: Logger = get_logger("rimward.outbox")

ERASE, ERASED = "erase", "erased"  # notes: what the hub asks for, and what was carried out
CLEAN = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY}  # nothing was written and the file is as it was


class Torn(sqlite3.DatabaseError):
    """A page of the file can't be read."""


class Tending:
    """One start's looks at the notes beside the file, each at most once a second."""

    def __init__(self, core: OutboxCore) -> None:
        folder = core.path.parent
        self._core = core
        self._notes = {name: Note(folder / name) for name in ("marks", "rekey", "link", "damaged", ERASE)}
        self._marks: Marks | None = None
        self._since: int | None = None  # when the link came up that is known
        self._short = False  # the disk has less left than the reserve

    def tend(self) -> None:
        """Do what is due.

        Raises:
            sqlite3.Error: the file must not be written any more.
        """
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("marks", self._forget),
            ("rekey", self._rekey),
            ("damaged", self._damaged),
            ("link", self._link),
            (ERASE, self._erase),
            ("ages", self._expire),
            ("room", self._measure),
        )
        for name, step in steps:
            try:
                self._do(name, step)
            except (OSError, ValueError) as error:  # msgspec's are ValueErrors
                log.warning("a note to the outbox can't be used", note=name, error=type(error).__name__)
            except sqlite3.Error as error:
                if code_of(error) not in CLEAN:
                    raise
                log.warning("the outbox has no room for what is due", step=name)
                if name in self._notes:
                    self._notes[name].again()

    def _do(self, name: str, step: Callable[[], None]) -> None:
        """Do a step; on a full disk once more with the bytes that were held for that."""
        try:
            step()
        except sqlite3.Error as error:
            if code_of(error) != sqlite3.SQLITE_FULL or not self._core.ballast.give_back():
                raise
            log.error("the disk is full: the outbox gives its reserve back", step=name)  # noqa: TRY400 (one line)
            if name in self._notes:
                self._notes[name].again()
            step()

    def _measure(self) -> None:
        core = self._core
        core.measure()
        if not core.ballast.take(core.free) and core.on_reserve and not self._short:
            log.error("the disk has too little room: the outbox refuses rows and lives on its reserve",
                      free=core.free)  # fmt: skip
        self._short = core.on_reserve

    def _forget(self) -> None:
        said = self._notes["marks"].news()
        if said is not None:
            self._marks = Marks.decode(said)
        if self._marks is not None:
            self._core.forget(self._marks)

    def _rekey(self) -> None:
        said = self._notes["rekey"].news()
        if said is None:
            return
        moved = self._core.rekey(Rekey.decode(said))
        log.error(
            "another outbox has used this node's name: epochs that it may have used got new counters",
            moved=", ".join(f"{old} to {new}" for old, new in moved.items()),
        )
        self._notes["rekey"].done()

    def _damaged(self) -> None:
        said = self._notes["damaged"].news()
        if said is None:
            return
        damage = Damage.decode(said)
        if damage.torn:
            raise Torn("database disk image is malformed")
        if rows := self._core.damaged(damage.ranges):
            log.error("rows were damaged on the disk and are lost", rows=rows)

    def _erase(self) -> None:
        said = self._notes[ERASE].news()
        if said is None:
            return
        orders, path = Orders.decode(said), self._core.path.with_name(ERASED)
        done = erased_at(path)
        if orders.known == done.known:
            return
        rows, dead = self._core.erase(orders.orders)
        log.warning("rows were erased, as the hub asked", rows=rows, dead_letters=dead)
        draft = path.with_suffix(".new")
        draft.write_bytes(Erased(orders.known, done.rows + rows, done.dead + dead, self._core.now()).encode())
        sync(draft)
        draft.replace(path)

    def _link(self) -> None:
        said = self._notes["link"].news()
        if said is None:
            return
        link = Link.decode(said)
        if link.up and link.since != self._since:
            self._since = link.since
            self._core.link_up()

    def _expire(self) -> None:
        if chunks := self._core.expire():
            log.warning("rows waited longer than their facts let them and were given up", chunks=chunks)


def erased_at(path: Path) -> Erased:
    """Return what was carried out of a hub's erasures."""
    try:
        return Erased.decode(path.read_bytes())
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return Erased()


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; 0 where the module itself raised."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
