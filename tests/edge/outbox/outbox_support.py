"""What the outbox's tests share: rows, a clock to turn, and a look into the file."""

import sqlite3
import zlib
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from rimward.app.manifest import FactSpec, Keeping
from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import DeadLetter, Forward, OutboxCore
from rimward.wire import Mark, Marks, Row

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


class Wall:
    """A wall clock, ns."""

    def __init__(self) -> None:
        self.now = 1_000 * DAY

    def __call__(self) -> int:
        return self.now


def row(
    value: Any, fact: str = "warm", schema: str = "s1", priority: str = "normal", **keeping: Any
) -> Forward:
    kept = Keeping(**keeping)
    return Forward(fact, schema, priority, 1, "e", None, None, replayed=False, values=(value,), keeping=kept)


def spec(table: str = "warm", priority: str = "normal", **keeping: Any) -> FactSpec:
    return FactSpec(table.title(), table, priority, None, (), "s1", Keeping(**keeping))


def letter(payload: bytes, at: int = 1) -> DeadLetter:
    return DeadLetter(at, "failed", "why", "mqtt5", "t", "dev", None, payload)


@contextmanager
def core(folder: Path, wall: Wall | None = None, config: OutboxConfig | None = None) -> Generator[OutboxCore]:
    opened = OutboxCore(folder / "outbox.db", wall or Wall(), config or OutboxConfig())
    try:
        yield opened
    finally:
        opened.close()


def commit(outbox: OutboxCore, *rows: Forward) -> None:
    outbox.commit(list(rows), {}, [])


def chunks(folder: Path) -> list[tuple[int, str, int, int, str]]:
    """Return (counter, fact, first, last, schema) of every chunk."""
    return query(folder, "select counter, fact, first, last, schema from chunk order by counter, fact, first")


def rows(folder: Path) -> list[tuple[int, str, int, Any]]:
    """Return (counter, fact, seq, first value) of every row."""
    found: list[tuple[int, str, int, Any]] = []
    query_ = "select counter, fact, crc, body from chunk order by counter, fact, first"
    for counter, fact, crc, body in query(folder, query_):
        assert zlib.crc32(body) == crc
        at = 0
        decoder = msgspec.msgpack.Decoder(Row)
        while at < len(body):  # rows follow each other without a frame
            size = next(n for n in range(at + 1, len(body) + 1) if _whole(decoder, body[at:n]))
            one = decoder.decode(body[at:size])
            found.append((counter, fact, one.seq, one.values[0]))
            at = size
    return found


def _whole(decoder: msgspec.msgpack.Decoder[Row], data: bytes) -> bool:
    try:
        decoder.decode(data)
    except msgspec.DecodeError:
        return False
    return True


def query(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "outbox.db")) as db:
        return db.execute(sql).fetchall()


def mark(outbox: OutboxCore, seq: int, fact: str = "warm", **other: int) -> Marks:
    epoch = outbox.epoch
    values = {"generation": 0, "version": 1, "counter": epoch.counter, "nonce": epoch.nonce} | other
    return Marks("node-1", (Mark(fact=fact, table="t", seq=seq, **values),))


def tallies(folder: Path) -> dict[str, dict[str, int]]:
    """Return every lane's rows by cause."""
    found: dict[str, dict[str, int]] = {}
    for lane, cause, count in query(folder, "select lane, cause, rows from tally order by lane, cause desc"):
        found.setdefault(lane, {})[cause] = count
    return found
