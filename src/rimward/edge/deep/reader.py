"""The outbox read by the other process: read-only, in short transactions so that checkpoints go on."""

import os
import sqlite3
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rimward.wire import Epoch, Lane, Place, Segment, Supply, transaction_version

ROWS, BYTES = 500, 64 << 10  # of one envelope, before compression
_HEAD = (
    "select first, last, schema, crc, body from chunk where counter = :counter and fact = :fact and "
    "first >= coalesce((select max(first) from chunk where counter = :counter and fact = :fact "
    "and first <= :seq), 0) and last >= :seq order by first limit 64"
)


class _Chunk(NamedTuple):
    first: int
    last: int
    schema: str
    crc: int
    body: bytes

    @property
    def damaged(self) -> bool:
        return zlib.crc32(self.body) != self.crc


class OutboxReader:
    """Chunks as segments of lanes: a `SegmentSource`."""

    def __init__(self, path: Path, node: str, rows: int = ROWS, size: int = BYTES) -> None:
        """`rows` and `size`, bytes, are what an envelope takes; a chunk is never cut."""
        self._rows = rows
        self._size = size
        self._path = path
        self._node = node
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._inode = os.stat(path).st_ino  # noqa: PTH116 (as below)
        self._seen = -1
        self._supplies: list[Supply] = []
        self.corrupt: int = 0  # rows that were damaged on the disk

    def replaced(self) -> bool:
        """Tell whether another file lies there now: one that was damaged or abandoned is moved away."""
        try:
            return os.stat(self._path).st_ino != self._inode  # noqa: PTH116 (called fifty times a second)
        except FileNotFoundError:
            return True

    def version(self) -> int:
        """Return a number that changes when another process has committed."""
        return self._db.execute("pragma data_version").fetchone()[0]

    def epochs(self) -> dict[int, Epoch]:
        """Return the epochs by their counters."""
        rows = self._db.execute("select counter, nonce from epoch").fetchall()
        return {counter: Epoch(counter, nonce) for counter, nonce in rows}

    def supplies(self) -> list[Supply]:
        """Return every fact that has rows, its last place, and the priority that its newest chunk has."""
        version = self.version()
        if version != self._seen:
            with self._moment():
                lanes = self._db.execute(
                    "select fact, counter, last_seq from lane order by fact, counter"
                ).fetchall()
                newest = {fact: (counter, last) for fact, counter, last in lanes}
                self._supplies = [Supply(fact, self._priority(fact), last) for fact, last in newest.items()]
            self._seen = version
        return self._supplies

    def _priority(self, fact: str) -> str:
        row = self._db.execute(
            "select priority from lane, chunk using (counter, fact) where fact = ? "
            "order by counter desc, first desc limit 1",
            (fact,),
        ).fetchone()
        return row[0] if row else "normal"

    def segment(self, supply: Supply, after: Place, most: int = BYTES) -> Segment | None:
        """Return the rows that follow a place, up to `most` bytes of them; older epochs first."""
        with self._moment():
            lane = self._lane(supply.fact, after)
            if lane is None:
                return None
            epoch, last, prior, prior_nonce = lane
            start = after[1] + 1 if after[0] == epoch.counter else 1
            where = {"counter": epoch.counter, "fact": supply.fact, "seq": start}
            chunks = self._few(self._db.execute(_HEAD, where), min(most, self._size))
        segment = self._cut(Lane(self._node, epoch, supply.fact), start, last, chunks, min(most, self._size))
        segment.priority, segment.prior, segment.prior_nonce = supply.priority, prior, prior_nonce
        return segment

    def _few(self, rows: sqlite3.Cursor, most: int) -> list[_Chunk]:
        """Return as many chunks as an envelope can need: reading more would take as long as all the rest."""
        found: list[_Chunk] = []
        size = 0
        for row in rows:
            found.append(chunk := _Chunk(*row))
            size += len(chunk.body)
            if size > most or chunk.last - found[0].first >= self._rows:
                break
        rows.close()
        return found

    def _lane(self, fact: str, after: Place) -> tuple[Epoch, int, int, int] | None:
        """Return the epoch of the first row after a place, its last row, and the epoch before's end."""
        rows = self._db.execute(
            "select counter, last_seq, nonce from lane join epoch using (counter) where fact = ? "
            "order by counter",
            (fact,),
        ).fetchall()
        prior = prior_nonce = 0
        for counter, last, nonce in rows:
            if (counter, last) > after:
                return Epoch(counter, nonce), last, prior, prior_nonce
            prior, prior_nonce = transaction_version(counter, last), nonce
        return None

    def _cut(self, lane: Lane, start: int, last: int, chunks: list[_Chunk], most: int) -> Segment:
        def segment(first: int, last: int, rows: bytes = b"", lost: str | None = None) -> Segment:
            return Segment(lane, first, last, chunks[0].schema if chunks else "", "", rows, lost)

        if not chunks:
            return segment(start, last, lost="forgotten")
        head = chunks[0]
        if head.first > start:
            return segment(start, head.first - 1, lost="forgotten")
        if head.damaged:
            self.corrupt += head.last - head.first + 1
            return segment(head.first, head.last, lost="corrupt")
        found = segment(head.first, head.last, head.body)
        for chunk in chunks[1:]:
            if (
                chunk.damaged
                or chunk.first != found.last + 1
                or chunk.schema != found.schema
                or chunk.last - found.first >= self._rows
                or len(found.rows) + len(chunk.body) > most
            ):
                break
            found.rows += chunk.body
            found.last = chunk.last
        return found

    @contextmanager
    def _moment(self) -> Generator[None]:
        """Read lanes and chunks as they were at one moment."""
        self._db.execute("begin")
        try:
            yield
        finally:
            self._db.execute("commit")

    def close(self) -> None:
        """Close the file."""
        self._db.close()
