"""The outbox read by the other process: read-only, in short transactions so that checkpoints go on.

What it finds damaged it writes to the file `damaged` beside it: the outbox's writer looks for itself, and
records the loss.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rimward.edge.outbox.notes import Damage
from rimward.wire import Epoch, Lane, Mark, Marks, Place, Segment, Supply, Tally, transaction_version

ROWS, BYTES = 500, 64 << 10  # of one envelope, before compression
DAMAGED = 1024  # chunks that are told as damaged before the writer has taken them out
_HEAD = (
    "select first, last, schema, crc, body from chunk where counter = :counter and fact = :fact and "
    "first >= coalesce((select max(first) from chunk where counter = :counter and fact = :fact "
    "and first <= :seq), 0) and last >= :seq order by first limit 64"
)
_LOST = (
    "select first, last, reason from lost where counter = :counter and lane = :fact and last >= :seq "
    "order by first limit 1"
)
_WAITING = (
    "select coalesce(sum(last_seq - case when counter = :counter then :seq else 0 end), 0) from lane "
    "where fact = :fact and counter >= :counter"
)
_LOST_WAITING = (
    "select coalesce(sum(last - max(first - 1, case when counter = :counter then :seq else 0 end)), 0) "
    "from lost where lane = :fact and (counter > :counter or counter = :counter and last > :seq)"
)
_OLDEST = (
    "select min(at) from (select at from lane join chunk using (counter, fact) where fact = :fact and "
    "(counter > :counter or counter = :counter and last > :seq) order by counter, first limit 1)"
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
        self._damaged: dict[tuple[int, str, int, int], None] = {}
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

    def outbox_id(self) -> str:
        """Return the id that the file was given when it was made: a lost disk's is another."""
        return self._db.execute("select value from meta where key = 'id'").fetchone()[0]

    def epochs(self) -> dict[int, Epoch]:
        """Return the epochs by their counters."""
        rows = self._db.execute("select counter, nonce from epoch").fetchall()
        return {counter: Epoch(counter, nonce) for counter, nonce in rows}

    def id(self) -> str:
        """Return the file's id, another one after its disk was lost."""
        row = self._db.execute("select value from meta where key = 'id'").fetchone()
        return row[0] if row else ""

    def supplies(self) -> list[Supply]:
        """Return every lane that has rows, its last place, and the priority of its newest rows."""
        version = self.version()
        if version != self._seen:
            rows = self._db.execute(
                "select fact, priority, counter, last_seq from lane order by fact, counter"
            ).fetchall()
            newest = {fact: Supply(fact, priority, (counter, last)) for fact, priority, counter, last in rows}
            self._supplies = list(newest.values())
            self._seen = version
        return self._supplies

    def tallies(self) -> tuple[Tally, ...]:
        """Return what became of every lane's rows here, by the marks that lie beside the file.

        What waits is what was forwarded beyond the mark and not given up: it is not counted chunk by chunk.
        """
        with self._moment():
            epochs = self.epochs()
            marks = {
                mark.fact: mark
                for mark in self._marks()
                if mark.counter in epochs and epochs[mark.counter].nonce == mark.nonce
            }
            causes: dict[str, dict[str, int]] = {}
            for lane, cause, rows in self._db.execute(
                "select lane, cause, rows from tally order by lane, cause"
            ):
                causes.setdefault(lane, {})[cause] = rows
            return tuple(self._tally(lane, found, marks.get(lane)) for lane, found in causes.items())

    def _marks(self) -> tuple[Mark, ...]:
        try:
            return Marks.decode(self._path.with_name("marks").read_bytes()).marks
        except (OSError, ValueError):  # msgspec's errors are ValueErrors
            return ()

    def _tally(self, lane: str, causes: dict[str, int], mark: Mark | None) -> Tally:
        counter, seq = (0, 0) if mark is None else mark.reached
        where = {"fact": lane, "counter": counter, "seq": seq}
        waiting, lost, oldest = (
            self._db.execute(query, where).fetchone()[0] for query in (_WAITING, _LOST_WAITING, _OLDEST)
        )
        forwarded = causes.pop("forwarded", 0)
        return Tally(lane, forwarded, causes, max(0, waiting - lost), oldest)

    def segment(self, supply: Supply, after: Place, most: int = BYTES) -> Segment | None:
        """Return the rows that follow a place, up to `most` bytes of them; older epochs first.

        Raises:
            sqlite3.DatabaseError: a page of the file can't be read; its writer is told.
        """
        try:
            with self._moment():
                place = self._lane(supply.fact, after)
                if place is None:
                    return None
                epoch, last, prior, prior_nonce = place
                start = after[1] + 1 if after[0] == epoch.counter else 1
                where = {"counter": epoch.counter, "fact": supply.fact, "seq": start}
                chunks = self._few(self._db.execute(_HEAD, where), min(most, self._size))
                lost = self._db.execute(_LOST, where).fetchone()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
                self._tell(torn=True)
            raise
        lane = Lane(self._node, epoch, supply.fact)
        behind = chunks[0].first if chunks else last + 1
        if behind > start:
            segment = _missing(lane, start, behind - 1, lost)
        else:
            segment = self._cut(lane, chunks, min(most, self._size))
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

    def _cut(self, lane: Lane, chunks: list[_Chunk], most: int) -> Segment:
        head = chunks[0]
        if head.damaged:
            self._found_damaged(lane, head)
            return Segment(lane, head.first, head.last, head.schema, "", b"", "corrupt")
        found = Segment(lane, head.first, head.last, head.schema, "", head.body)
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

    def _found_damaged(self, lane: Lane, chunk: _Chunk) -> None:
        place = lane.epoch.counter, lane.fact, chunk.first, chunk.last
        if place not in self._damaged:
            self.corrupt += chunk.last - chunk.first + 1
            if len(self._damaged) >= DAMAGED:
                del self._damaged[next(iter(self._damaged))]
            self._damaged[place] = None
            self._tell(torn=False)

    def _tell(self, *, torn: bool) -> None:
        """Write down what can't be read; where the disk refuses that, it is found again."""
        draft = self._path.with_name("damaged.new")
        with contextlib.suppress(OSError):
            draft.write_bytes(Damage(tuple(self._damaged), torn).encode())
            draft.replace(self._path.with_name("damaged"))

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


def _missing(lane: Lane, start: int, last: int, lost: tuple[int, int, str] | None) -> Segment:
    """Return rows that are not here as a segment that says why, as far as a record of a loss does."""
    if lost is None or lost[0] > last:
        return Segment(lane, start, last, "", "", b"", "forgotten")
    if lost[0] > start:
        return Segment(lane, start, lost[0] - 1, "", "", b"", "forgotten")
    return Segment(lane, start, min(lost[1], last), "", "", b"", lost[2])
