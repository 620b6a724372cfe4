"""The outbox's contents: SQLite in WAL mode with synchronous=FULL, written by one thread at a time.

An epoch begins at every open, so nothing that restores or copies a disk can reuse an identity; a fact's rows
are numbered from 1 within it, without gaps. One chunk row per fact and commit: sqlite3 gives the GIL up per
statement, and many small ones made a convoy (docs/adr/0002).
"""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from rimward.edge.clock import NodeClock, Stamp, plain_clock
from rimward.edge.outbox.config import OutboxConfig
from rimward.edge.outbox.file import begin_epoch, give_up, open_file, settle
from rimward.edge.outbox.records import DeadLetter, Forward
from rimward.observe.failpoints import reach
from rimward.wire import Epoch, Mark, Marks, Row
from rimward.wire.system import CLOCK

CHUNK_BYTES = 48 << 10  # a chunk is never larger than an envelope may be
FORGOTTEN = 1024  # chunks deleted in one go: commits wait for it


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
        self._encoder = msgspec.msgpack.Encoder()
        self._generation = 0
        self._db, self.quarantined = open_file(path, now())
        settle(self._db)
        self.epoch: Epoch = begin_epoch(self._db, path)
        self._nonces: dict[int, int] = dict(self._db.execute("select counter, nonce from epoch"))
        self.seqs: dict[str, int] = {}  # last number given in this epoch, by fact
        self._committed: dict[str, int] = {}  # last number on disk
        self.bytes = self._scalar("select coalesce(sum(length(body)), 0) from chunk")
        self.dead_bytes = self._scalar("select coalesce(sum(bytes), 0) from dead")
        self.dead_total: int = self._scalar("select coalesce(max(id), 0) from dead")

    def _scalar(self, query: str) -> int:
        return self._db.execute(query).fetchone()[0]

    def number(self, forwards: Iterable[Forward]) -> None:
        """Give rows their sequence numbers, in order."""
        for forward in forwards:
            forward.seq = self.seqs[forward.fact] = self.seqs.get(forward.fact, 0) + 1

    def take_back(self) -> None:
        """Forget every number that is not on disk; whoever has one must not commit it."""
        self.seqs = dict(self._committed)

    def load(self) -> dict[str, dict[str, bytes]]:
        """Return every space's keys and values."""
        spaces: dict[str, dict[str, bytes]] = {}
        for space, key, value in self._db.execute("select space, key, value from cell"):
            spaces.setdefault(space, {})[key] = value
        return spaces

    def commit(
        self,
        forwards: list[Forward],
        puts: dict[tuple[str, str], bytes | None],
        dead: list[DeadLetter],
    ) -> None:
        """Write one group as one transaction; it is on disk when this returns.

        Raises:
            sqlite3.Error: nothing of it counts; only after SQLITE_FULL or SQLITE_BUSY may more be written.
        """
        db, stamp = self._db, self._clock.stamp()
        if news := bool(forwards) and self._clock.news(stamp):
            forwards = [*forwards, self._clock_row(stamp)]
        db.execute("begin immediate")
        try:
            reach("outbox.begun")
            grown = self._insert_rows(forwards, self._now(), stamp)
            reach("outbox.inserted")
            gone = [place for place, value in puts.items() if value is None]
            kept = [(*place, value) for place, value in puts.items() if value is not None]
            if kept:
                db.executemany("insert or replace into cell values (?, ?, ?)", kept)
            if gone:
                db.executemany("delete from cell where space = ? and key = ?", gone)
            dead_bytes = self._bury(dead)
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            raise
        reach("outbox.committed")
        self.bytes += grown
        self.dead_bytes: int = dead_bytes
        self.dead_total += len(dead)
        self._committed.update({forward.fact: forward.seq for forward in forwards})
        if news:
            self._clock.told(stamp)

    def _clock_row(self, stamp: Stamp) -> Forward:
        """Return the record that places the rows of this commit, and of others by the same stamp."""
        seq = self._committed.get(CLOCK.table, 0) + 1
        return Forward(
            CLOCK.table, CLOCK.fingerprint, CLOCK.priority, stamp.at + stamp.offset,
            f"clock-{self.epoch}-{seq}", None, None, replayed=False, values=stamp.values(), seq=seq,
            mono=stamp.at,
        )  # fmt: skip

    def _insert_rows(self, forwards: list[Forward], now: int, stamp: Stamp) -> int:
        """Write rows as chunks; return the bytes that they take."""
        lanes: dict[str, list[Forward]] = {}
        for forward in forwards:
            lanes.setdefault(forward.fact, []).append(forward)
        grown = 0
        for fact, rows in lanes.items():
            for chunk in self._chunks(rows, stamp):
                self._db.execute(
                    "insert into chunk values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (self.epoch.counter, fact, chunk[0], chunk[1], now, *chunk[2:]),
                )
                grown += len(chunk[-1])
            self._db.execute(
                "insert or replace into lane values (?, ?, ?)", (self.epoch.counter, fact, rows[-1].seq)
            )
        return grown

    def _chunks(self, rows: list[Forward], stamp: Stamp) -> Iterable[tuple[int, int, str, str, int, bytes]]:
        """Yield (first, last, priority, schema, crc, body) of each chunk that the rows need."""
        start, size = 0, 0
        parts: list[bytes] = []
        for index, row in enumerate(rows):
            part = self._encoder.encode(
                Row(
                    row.seq,
                    row.received if row.mono is None else stamp.received(row.mono),
                    row.event,
                    row.time,
                    stamp.quality,
                    row.replayed,
                    row.trace,
                    row.values,
                    None if row.mono is None else row.mono + stamp.asleep,
                )
            )
            if parts and (size + len(part) > CHUNK_BYTES or row.schema != rows[start].schema):
                yield _chunk(rows[start:index], parts)
                start, size, parts = index, 0, []
            parts.append(part)
            size += len(part)
        yield _chunk(rows[start:], parts)

    def _bury(self, dead: list[DeadLetter]) -> int:
        """Keep dead letters, the newest that their budget holds; return the bytes that all take."""
        bodies = [(letter.at, self._encoder.encode(letter)) for letter in dead]
        self._db.executemany(
            "insert into dead (at, bytes, body) values (?, ?, ?)",
            [(at, len(body), body) for at, body in bodies],
        )
        total = self.dead_bytes + sum(len(body) for _, body in bodies)
        while total > self._config.dead_bytes:
            oldest = self._db.execute("select id, bytes from dead order by id limit 64").fetchall()
            for id_, size in oldest:
                if total <= self._config.dead_bytes:
                    break
                self._db.execute("delete from dead where id = ?", (id_,))
                total -= size
        return total

    def forget(self, marks: Marks) -> int:
        """Delete rows that the lake has, and return how many chunks.

        They stay for `keep_after_commit`, for a lake that is restored; but where they and what waits take
        more than half of `max_bytes`, they go first. Marks of another disk's epochs free nothing.
        """
        before = self._now() - round(self._config.keep_after_commit * 1e9)
        deleted = 0
        for mark in marks.marks:
            if mark.generation < self._generation or self._nonces.get(mark.counter) != mark.nonce:
                continue
            self._generation = mark.generation
            lanes = self._db.execute(
                "select counter from lane where fact = ? and counter <= ? order by counter",
                (mark.fact, mark.counter),
            ).fetchall()
            for (counter,) in lanes:
                deleted += self._forget(counter, mark, before, FORGOTTEN - deleted)
        return deleted

    def _forget(self, counter: int, mark: Mark, before: int, most: int) -> int:
        last = mark.seq if counter == mark.counter else (1 << 62)
        chunks = self._db.execute(
            "select first, at, length(body) from chunk where counter = ? and fact = ? and first <= ? "
            "and last <= ? order by first limit ?",
            (counter, mark.fact, last, last, max(0, most)),
        ).fetchall()
        left, gone = self.bytes, list[tuple[int, str, int]]()
        for first, at, size in chunks:
            if at >= before and left <= self._config.max_bytes // 2:
                break
            gone.append((counter, mark.fact, first))
            left -= size
        if gone:
            self._db.execute("begin immediate")
            try:
                self._db.executemany("delete from chunk where counter = ? and fact = ? and first = ?", gone)
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                raise
            reach("outbox.forgotten")
            self.bytes: int = left
        return len(gone)

    def give_up(self) -> None:
        """Note on disk that this file must not be written again."""
        give_up(self.path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _chunk(rows: list[Forward], parts: list[bytes]) -> tuple[int, int, str, str, int, bytes]:
    body = b"".join(parts)
    return (rows[0].seq, rows[-1].seq, rows[0].priority, rows[0].schema, zlib.crc32(body), body)
