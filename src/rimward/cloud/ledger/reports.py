"""What nodes report of their part of the ledger, kept in hub.db: a hub has no node's disk.

One row an outbox. Another outbox of a node that said hello before means that the disk was lost, and with it
whatever waited in it; the last report then says what is known of that (GUARANTEES §3).
"""

import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from rimward.network.secretfile import write_secret
from rimward.observe import Logger, get_logger
from rimward.wire import Hello
from rimward.wire.account import Account, LaneAccount

log: Logger = get_logger("rimward.hub")

SETTLED = "settled.json"  # in the hub's folder: ids of outboxes of which a person knows that they are lost

SCHEMA = """
create table if not exists report (
  node text, outbox text, begun_at integer not null, at integer not null, first integer not null,
  forwarded integer not null, rate real not null, hello blob not null, primary key (node, outbox)
) without rowid;
"""
OUTBOXES = 64  # of one node that are kept; the report of another is refused, counted and told


class Reports:
    """The newest report of every outbox, on a connection of its own.

    It is written once every few seconds and node, and not synced each time: an older report is true as well.
    """

    def __init__(self, path: Path) -> None:
        """`path` is hub.db's."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(SCHEMA)
        self._turn = threading.Lock()
        self.refused: int = 0

    def note(self, hello: Hello, now: int) -> bool:
        """Keep a report of a node that is let in; `now` is wall ns. False: it has had too many outboxes.

        Raises:
            sqlite3.Error: the disk refused it.
        """
        with self._turn:
            return self._note(hello, now)

    def _note(self, hello: Hello, now: int) -> bool:
        forwarded = sum(tally.forwarded for tally in hello.tallies)
        known = self._db.execute(
            "select at, forwarded, rate, first from report where node = ? and outbox = ?",
            (hello.node, hello.outbox),
        ).fetchone()
        rate, first = 0.0, min((counter for counter, _ in hello.epochs), default=0)
        if known is not None:
            at, before, rate, first = known
            rate = max(rate, (forwarded - before) * 1e9 / max(1, now - at))
        elif not self._first_report(hello):
            return False
        self._db.execute(
            "insert into report values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (node, outbox) do update set "
            "at = excluded.at, forwarded = excluded.forwarded, rate = excluded.rate, hello = excluded.hello",
            (hello.node, hello.outbox, now, now, first, forwarded, rate, hello.encode()),
        )
        return True

    def _first_report(self, hello: Hello) -> bool:
        count = self._db.execute("select count(*) from report where node = ?", (hello.node,)).fetchone()[0]
        if count:
            log.error("a node has another outbox: what waited in the one before is gone", node=hello.node)
        if count < OUTBOXES:
            return True
        self.refused += 1
        log.error("a node has had too many outboxes, its report is not kept", node=hello.node, limit=OUTBOXES)
        return False

    def close(self) -> None:
        """Close the file, once nobody uses it."""
        with self._turn:
            self._db.close()


def read_reports(data: Path) -> list[Account]:
    """Return the newest report of every outbox, those of one node in the order of their epochs."""
    rows = _rows(data, "select begun_at, at, first, rate, hello from report order by node, first, begun_at")
    accounts = [_account(at, first, rate, Hello.decode(hello)) for _, at, first, rate, hello in rows]
    noted = set(_settled(data))
    accounts = [replace(one, settled=one.outbox in noted) for one in accounts]
    return list(in_order(accounts, [begun for begun, *_ in rows]))


def read_hellos(data: Path) -> list[Hello]:
    """Return the newest hello of each node, of the outbox that it has now."""
    rows = _rows(data, "select hello from report order by node, at")
    newest = {hello.node: hello for hello in (Hello.decode(row[0]) for row in rows)}
    return list(newest.values())


def _rows(data: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask for reports; none where no hub has written any."""
    path = data / "hub" / "hub.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        if not db.execute("select 1 from sqlite_master where name = 'report'").fetchone():
            return []
        return db.execute(query).fetchall()


def settle(data: Path, node: str) -> int:
    """Take note that outboxes of a node are lost; return how many more are noted. What is unknown stays so.

    Raises:
        OSError: the disk refused it.
    """
    noted = _settled(data)
    fresh = [one.outbox for one in read_reports(data) if one.node == node and one.lost and not one.settled]
    if fresh:
        write_secret(data / "hub" / SETTLED, msgspec.json.encode([*noted, *fresh]))
    return len(fresh)


def _settled(data: Path) -> list[str]:
    try:
        return msgspec.json.decode((data / "hub" / SETTLED).read_bytes(), type=list[str])
    except (OSError, msgspec.MsgspecError):
        return []


def in_order(accounts: list[Account], begun: list[int]) -> Iterable[Account]:
    """Return accounts with each one's end: where the next outbox of its node begins."""
    for index, one in enumerate(accounts):
        alone = index == 0 or accounts[index - 1].node != one.node
        found = replace(one, first=0) if alone else one
        if index + 1 < len(accounts) and accounts[index + 1].node == one.node:
            found = replace(found, end=accounts[index + 1].first, replaced_at=begun[index + 1])
        yield found


def _account(at: int, first: int, rate: float, hello: Hello) -> Account:
    marks = {mark.fact: mark.reached for mark in hello.marks}
    lanes = tuple(
        LaneAccount(
            tally.lane, tally.forwarded, tally.discarded, None, tally.waiting, tally.oldest,
            marks.get(tally.lane, (0, 0)),
        )
        for tally in hello.tallies
    )  # fmt: skip
    return Account(hello.node, hello.outbox, lanes, at, first, rate=rate)
