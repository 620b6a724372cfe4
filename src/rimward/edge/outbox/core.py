"""The outbox's contents: SQLite in WAL mode with synchronous=FULL, written by one thread at a time.

An epoch begins at every open, so nothing that restores or copies a disk can reuse an identity; a lane's rows
are numbered from 1 within it, without gaps, when they are written. One chunk row per lane and commit: sqlite3
gives the GIL up per statement, and many small ones made a convoy (docs/adr/0002).
"""

import os
import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from rimward.app.manifest import FactSpec, Keeping
from rimward.edge.clock import NodeClock, Stamp, plain_clock
from rimward.edge.outbox import erasing, freeing
from rimward.edge.outbox.ballast import Ballast
from rimward.edge.outbox.burying import bury
from rimward.edge.outbox.chunks import Body, check_size, cut
from rimward.edge.outbox.config import OutboxConfig
from rimward.edge.outbox.file import begin_epoch, give_up, note_counter, open_file, settle
from rimward.edge.outbox.landing import MOST, Landing
from rimward.edge.outbox.lanes import LiveFirst
from rimward.edge.outbox.reading import eager_cells
from rimward.edge.outbox.records import DeadLetter, Forward
from rimward.edge.outbox.rekeying import Rekey, move, moving
from rimward.edge.outbox.room import Room
from rimward.edge.outbox.stock import Change, Chunk, Key, Stock
from rimward.events import OutboxBroken
from rimward.observe.failpoints import reach
from rimward.observe.transactions import transaction
from rimward.wire import Epoch, Marks
from rimward.wire.erasing import Order
from rimward.wire.system import CLOCK

RUN = 10 * 10**9  # ns of running time that a start may forget: rows grow older by so much less
_RUN = "insert or replace into meta values ('ran', ?)"
_BODY = (
    "select counter, fact, first, last, at, priority, length(body), crc, body from chunk "
    "where counter = ? and fact = ? and first = ? and last = ?"
)
_CHUNK = "insert into chunk values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Cargo(NamedTuple):
    """What a group has for one lane."""

    key: Key
    newest: Forward
    bodies: list[Body]
    size: int  # bytes of all bodies


class OutboxCore:
    """Synchronous and without threads; `now` is the wall clock, ns.

    Raises:
        OutboxBroken: the file can't be read or written.
    """

    quarantined: Path | None  # where a damaged file was put at this start

    def __init__(
        self, path: Path, now: Callable[[], int], config: OutboxConfig, clock: NodeClock | None = None
    ) -> None:
        """`clock` stamps rows; without one nothing is known of `now` but what it says."""
        self.path = path
        self._now = now
        self._clock = clock or plain_clock(now, now)
        self._config = config
        self.ballast: Ballast = Ballast(path.parent, config.reserve)
        try:
            self._begin()
        except OutboxBroken:
            if not self.ballast.give_back():
                raise
            self._begin()  # the disk may have been full
        self.nonces: dict[int, int] = dict(self._db.execute("select counter, nonce from epoch"))
        self.stock: Stock = Stock(self._db)
        self.room: Room = Room(self._db, self.stock, config)
        self._keepings: dict[str, tuple[str, Keeping]] = {
            fact: (priority, msgspec.json.decode(body, type=Keeping))
            for fact, priority, body in self._db.execute("select fact, priority, body from keeping")
        }
        self._live_first = LiveFirst()
        self._landing = Landing(self._db)
        self._generation = 0
        ran = self._scalar("select coalesce(max(cast(value as integer)), 0) from meta where key = 'ran'")
        self._ran = ran - self._clock.stamp().at
        self._ran_written = ran
        self.dead_bytes: int = self._scalar("select coalesce(sum(bytes), 0) from dead")
        self.dead_total: int = self._scalar("select coalesce(max(id), 0) from dead")
        self.measure()

    def _begin(self) -> None:
        """Open the file and begin an epoch.

        Raises:
            OutboxBroken: it can't be read or written.
        """
        self._db, self.quarantined = open_file(self.path, self._now())
        try:
            settle(self._db)
            self.epoch: Epoch = begin_epoch(self._db, self.path)
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            raise OutboxBroken(f"{self.path}: {error}") from error

    @property
    def held(self) -> int:
        """The bytes that rows take."""
        return self.stock.bytes

    def _scalar(self, query: str) -> int:
        return self._db.execute(query).fetchone()[0]

    def now(self) -> int:
        """Return the wall clock, ns."""
        return self._now()

    def ran(self) -> int:
        """Return for how long the outbox was written, over all its starts, ns: the age of rows is in it."""
        return self._ran + self._clock.stamp().at

    def admit(self, spec: FactSpec, about: int, values: tuple[object, ...]) -> None:
        """Tell whether there is room for a row of about so many bytes.

        Raises:
            OutboxFull: there is none, and none can be made.
            RowTooLarge: no envelope could carry it.
        """
        check_size(spec.name, about, values)
        if self.stock.bytes + about > self.room.limit or spec.keeping.max_bytes is not None:
            self.room.check(spec, about)

    def load(self) -> dict[str, dict[str, bytes]]:
        """Return every space's keys and values, but those of streams."""
        return eager_cells(self._db)

    @contextmanager
    def _changing(self) -> Generator[Change]:
        """Run one transaction; what it did to lanes counts once it is on disk."""
        db = self._db
        with transaction(db):
            change = self._change()
            yield change
            change.write()
            if (ran := self.ran()) - self._ran_written > RUN:
                db.execute(_RUN, (str(ran),))
                self._ran_written = ran
            reach("outbox.inserted")
        self._count(change)

    def _change(self) -> Change:
        reach("outbox.begun")
        return Change(self._db, self.stock, self._now())

    def _count(self, change: Change) -> None:
        self.stock.apply(change)
        reach("outbox.committed")

    def commit(
        self,
        forwards: list[Forward],
        puts: dict[tuple[str, str], bytes | None],
        dead: list[DeadLetter],
    ) -> None:
        """Number the rows of a group and write it as one transaction; it is on disk when this returns.

        Raises:
            sqlite3.Error: nothing of it counts; only after SQLITE_FULL or SQLITE_BUSY may more be written.
        """
        stamp = self._clock.stamp()
        if news := bool(forwards) and self._clock.news(stamp):
            forwards = [*forwards, self._clock_row(stamp)]
        cargo = self._number(forwards, stamp)
        if not puts and not dead and self._is_plain(cargo):
            self._land(cargo)
        else:
            self._commit_all(cargo, puts, dead)
        if news:
            self._clock.told(stamp)

    def _commit_all(
        self, cargo: list[Cargo], puts: dict[tuple[str, str], bytes | None], dead: list[DeadLetter]
    ) -> None:
        with self._changing() as change:
            keepings = self._insert_rows(cargo, change)
            gone = [place for place, value in puts.items() if value is None]
            kept = [(*place, value) for place, value in puts.items() if value is not None]
            if kept:
                self._db.executemany("insert or replace into cell values (?, ?, ?)", kept)
            if gone:
                self._db.executemany("delete from cell where space = ? and key = ?", gone)
            dead_bytes = bury(self._db, dead, self.dead_bytes, self._config.dead_bytes)
        self.dead_bytes = dead_bytes
        self.dead_total += len(dead)
        self._keepings |= keepings

    def _is_plain(self, cargo: list[Cargo]) -> bool:
        """Tell whether rows need no room made and say nothing new: then one statement writes them."""
        return (
            0 < sum(len(one.bodies) for one in cargo) <= MOST
            and self.stock.bytes + sum(one.size for one in cargo) <= self.room.limit
            and self.ran() - self._ran_written <= RUN
            and all(one.newest.keeping.max_bytes is None and self._knows(one.newest) for one in cargo)
        )

    def _knows(self, row: Forward) -> bool:
        return self._keepings.get(row.fact) == (row.priority, row.keeping)

    def _land(self, cargo: list[Cargo]) -> None:
        change = self._change()
        bodies = [body for one in cargo for body in one.bodies]
        self._landing.write(self.epoch.counter, bodies, change.now, self.ran())
        for one in cargo:
            change.note(one.key, one.newest, one.size)
        self._count(change)

    def _clock_row(self, stamp: Stamp) -> Forward:
        """Return the record that places the rows of this commit, and of others by the same stamp."""
        seq = self.stock.last((self.epoch.counter, CLOCK.table)) + 1
        return Forward(
            CLOCK.table, CLOCK.fingerprint, CLOCK.priority, stamp.at + stamp.offset,
            f"clock-{self.epoch}-{seq}", None, None, replayed=False, values=stamp.values(), mono=stamp.at,
        )  # fmt: skip

    def _number(self, forwards: list[Forward], stamp: Stamp) -> list[Cargo]:
        """Return rows by lane, numbered and as chunks; nothing is changed by it but the rows."""
        lanes: dict[str, list[Forward]] = {}
        for forward in forwards:
            forward.lane = self._live_first.lane(forward.fact)
            lanes.setdefault(forward.lane, []).append(forward)
        found: list[Cargo] = []
        for lane, rows in lanes.items():
            key = self.epoch.counter, lane
            for seq, row in enumerate(rows, self.stock.last(key) + 1):
                row.seq = seq
            bodies = list(cut(rows, stamp))
            found.append(Cargo(key, rows[-1], bodies, sum(len(body.body) for body in bodies)))
        return found

    def _insert_rows(self, cargo: list[Cargo], change: Change) -> dict[str, tuple[str, Keeping]]:
        """Write rows as chunks, after making room for them; return what facts say that is new."""
        fresh: dict[str, tuple[str, Keeping]] = {}
        for key, newest, bodies, size in cargo:
            said = newest.priority, newest.keeping
            if not self._knows(newest):
                fresh[newest.fact] = said
            self.room.make(change, newest.fact, *said, size)
            born = self.ran()
            self._db.executemany(
                _CHUNK,
                [(key[0], key[1], one.first, one.last, change.now, *one[3:], born) for one in bodies],
            )
            change.note(key, newest, size)
            change.tallies[key[1], "forwarded"] += newest.seq - bodies[0].first + 1
        for fact, (priority, keeping) in fresh.items():
            body = msgspec.json.encode(keeping).decode()
            self._db.execute("insert or replace into keeping values (?, ?, ?)", (fact, priority, body))
        return fresh

    # -- what happens between commits

    def measure(self) -> None:
        """Look how much room the disk has: pages that are free in the file count, the reserve does not."""
        usage = os.statvfs(self.path.parent)
        self.free: int = usage.f_bavail * usage.f_frsize
        free = self.free + self.ballast.held - self._config.reserve
        self.on_reserve: bool = free < 0
        pages = self._scalar("pragma freelist_count") * self._scalar("pragma page_size")
        self.room.limit = min(self._config.max_bytes, self.stock.bytes + pages // 2 + max(0, free))

    def forget(self, marks: Marks) -> int:
        """Delete rows that the lake has, and return how many chunks.

        They stay for `keep_after_commit`, for a lake that is restored; but where they and what waits take
        more than half of `max_bytes`, they go first. Marks of another disk's epochs free nothing. Where a
        lake went back behind rows that are gone here, their loss is recorded.
        """
        deleted = 0
        before = self._now() - round(self._config.keep_after_commit * 1e9)
        for mark in marks.marks:
            if mark.generation < self._generation or self.nonces.get(mark.counter, 0) != mark.nonce:
                continue
            self._generation = mark.generation
            known = self.stock.marks.get(mark.fact)
            self.stock.mark(mark)
            if (known is None or mark.reached < known.reached) and freeing.misses(self._db, self.stock, mark):
                with self._changing() as change:
                    freeing.miss(change, self.stock, mark)
            plan = freeing.plan(
                self._db, self.stock, mark.fact, before, self._config.max_bytes // 2, freeing.MOST - deleted
            )
            if plan.chunks or plan.lost:
                with self._changing() as change:
                    plan.carry_out(change)
                deleted += len(plan.chunks)
        if deleted:
            reach("outbox.forgotten")
        return deleted

    def expire(self) -> int:
        """Give up rows that have waited longer than their fact lets them; return how many chunks."""
        aged = {fact: keeping for fact, (_, keeping) in self._keepings.items() if keeping.max_age is not None}
        if not aged or not self.room.old(aged, self.ran(), 1):
            return 0
        with self._changing() as change:
            return self.room.expire(change, aged, self.ran())

    def rekey(self, known: Rekey) -> dict[int, int]:
        """Move epochs whose counters another disk has used; return the new counters by the old ones.

        It is on disk whole, or not at all. What comes then is of a new epoch.
        """
        plan = moving(known, self.nonces, {key: held.last for key, held in self.stock.lanes.items()})
        if not plan:
            return {}
        with transaction(self._db):
            moved, epoch = move(self._db, self.stock, self.nonces, plan, known)
        reach("outbox.rekeyed")
        self.nonces = dict(self._db.execute("select counter, nonce from epoch"))
        self.epoch = epoch
        self.stock.load()
        note_counter(self.path, epoch.counter)
        return moved

    def damaged(self, ranges: Iterable[tuple[int, str, int, int]]) -> int:
        """Record chunks as lost whose checksum does not fit, of those that are named; return their rows.

        Raises:
            sqlite3.DatabaseError: the file itself is damaged there.
        """
        rows = 0
        for counter, lane, first, last in ranges:
            found = self._db.execute(_BODY, (counter, lane, first, last)).fetchone()
            if found is None or zlib.crc32(found[-1]) == found[-2]:
                continue
            chunk = Chunk._make(found[:-2])
            with self._changing() as change:
                change.drop([chunk], kept=last <= self.stock.reached((counter, lane)))
                change.lose((counter, lane), first, last, "corrupt")
            rows += last - first + 1
        return rows

    def erase(self, orders: Iterable[Order]) -> tuple[int, int]:
        """Blank rows that are to be forgotten, and delete such dead letters; return how many of each.

        What they said is overwritten on disk; pages that were freed before are so as they are used again.
        """
        asked, rows = list(orders), 0
        self._db.execute("pragma secure_delete=on")
        try:
            for key in erasing.lanes_of(self.stock, asked):
                after = -1
                while after:
                    with self._changing() as change:
                        after, gone = erasing.blanked(change, self.stock, key, after, asked)
                    rows += gone
            dead = erasing.letters(self._db, asked)
            with transaction(self._db):
                self._db.executemany("delete from dead where id = ?", [(id_,) for id_, _ in dead])
            self.dead_bytes -= sum(size for _, size in dead)
            self._db.execute("pragma wal_checkpoint(truncate)")
        finally:
            self._db.execute("pragma secure_delete=off")
        return rows, len(dead)

    def link_up(self) -> None:
        """Let new rows of `live_first` facts overtake what waits, now that the link is back."""
        facts = [fact for fact, (_, keeping) in self._keepings.items() if keeping.live_first]
        self._live_first.overtake(facts, self.stock.waits)

    def lost(self) -> dict[str, int]:
        """Return how many rows this outbox has given up, by cause."""
        causes = self._db.execute(
            "select cause, sum(rows) from tally where cause <> 'forwarded' group by cause"
        )
        return dict(causes.fetchall())

    def give_up(self) -> None:
        """Note on disk that this file must not be written again."""
        give_up(self.path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
