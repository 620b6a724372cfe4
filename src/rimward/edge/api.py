"""A node's files read by others: what its outbox has forwarded, given up, and still holds."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.edge.outbox.records import DeadLetter
from rimward.wire.account import Account, Held, LaneAccount

NODE = "node-1"  # where nothing says how a node is called


class Outline(Struct, frozen=True):
    """Which outbox lies under a data folder."""

    node: str
    outbox: str
    first: int  # counter of the oldest epoch that it knows
    lanes: tuple[str, ...]


class _Named(Struct):
    node: str = NODE


def node_name(data: Path) -> str:
    """Return what the node of a data folder is called."""
    try:
        return msgspec.json.decode((data / "run" / "node.json").read_bytes(), type=_Named).node
    except (OSError, msgspec.DecodeError):
        return NODE


def outline_of(data: Path, node: str | None = None) -> Outline | None:
    """Return which outbox lies under a data folder; None where there is none yet, or an older form of it."""
    with _opened(data) as db:
        if db is None:
            return None
        found = db.execute("select value from meta where key = 'id'").fetchone()
        first = db.execute("select coalesce(min(counter), 0) from epoch").fetchone()[0]
        lanes = tuple(lane for (lane,) in db.execute("select distinct lane from tally order by lane"))
    return Outline(node or node_name(data), found[0] if found else "", first, lanes)


def dead_letters(data: Path) -> list[tuple[int, DeadLetter]]:
    """Return the events that the node of a data folder could not work on, by number, oldest first."""
    with _opened(data) as db:
        rows = [] if db is None else db.execute("select id, body from dead order by id").fetchall()
    decoder = msgspec.msgpack.Decoder(DeadLetter)
    return [(number, decoder.decode(body)) for number, body in rows]


def read_account(data: Path, node: str | None = None) -> Account | None:
    """Return the account of the outbox under a data folder, counted on its disk; None where there is none."""
    with _opened(data) as db:
        if db is None:
            return None
        found = db.execute("select value from meta where key = 'id'").fetchone()
        tallies = db.execute("select lane, cause, rows from tally order by lane, cause").fetchall()
        chunks = db.execute("select counter, fact, first, last, at from chunk").fetchall()
    causes: dict[str, dict[str, int]] = {}
    for lane, cause, rows in tallies:
        causes.setdefault(lane, {})[cause] = rows
    held: dict[str, list[Held]] = {}
    for counter, lane, first, last, at in chunks:
        held.setdefault(lane, []).append(Held(counter, first, last, at))
    lanes = [
        LaneAccount(lane, counts.pop("forwarded", 0), counts, tuple(held.get(lane, ())))
        for lane, counts in causes.items()
    ]
    return Account(node or node_name(data), found[0] if found else "", tuple(lanes))


@contextmanager
def _opened(data: Path) -> Generator[sqlite3.Connection | None]:
    """Open the outbox at one moment; None where there is no file, or one that has not its tables yet."""
    path = data / "node" / "outbox.db"
    if not path.exists():
        yield None
        return
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as db:
        db.execute("begin")
        tables = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
        yield db if {"meta", "tally", "chunk", "epoch"} <= tables else None
