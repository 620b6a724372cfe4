"""Commands in hub.db: given to the node that asks for them, and ended by what comes back.

A node that asks from another store than before has lost the keys that it had carried out. What the lost store
had been given and not reported is in doubt: only what may be done twice is given again (GUARANTEES §5).
"""

import sqlite3
from typing import Any

from msgspec import Struct

from rimward.app.commands import Order
from rimward.cloud.functions.hubdb import hub_id
from rimward.observe.transactions import transaction
from rimward.wire.commands import COMMANDS, COMMANDS_BYTES, Command, Commands, Wanted

LATE = 86_400_000_000_000  # ns after its expiry that a result of a command may come; then it is unknown
KEPT = 30 * 86_400_000_000_000  # ns that a command is kept after its expiry
OUTCOMES = ("ok", "refused", "timeout", "expired", "unknown")
_LIST = (
    "select number, key, device, name, payload, created, expires, timeout, idempotent from command "
    "where node = ? and outcome is null and number > ? and expires > ? order by number limit ?"
)

_STATE = "number, node, key, device, name, payload, outcome, detail, reply, store is not null"


class CommandState(Struct, frozen=True):
    """One command as people and tests see it."""

    number: int
    node: str
    key: str
    device: str
    name: str
    payload: bytes
    outcome: str | None  # None: nothing is known yet
    detail: str | None
    reply: bytes | None
    taken: bool  # its node has it


def give(db: sqlite3.Connection, node: str, wanted: Wanted, now: int) -> Commands:
    """Return what a node is to carry out next; `now` is wall ns."""
    with transaction(db):
        _reconcile(db, node, wanted.store, now)
        hub = hub_id(db)
        last = wanted.last if wanted.hub == hub else 0
        room = max(0, min(COMMANDS, wanted.room))
        found: list[Command] = []
        size = 0
        rows = db.execute(_LIST, (node, last, now, room + 1)).fetchall()
        for number, key, device, name, payload, created, expires, timeout, idempotent in rows:
            command = Command(number, key, device, name, payload, created, expires, timeout, bool(idempotent))
            size += len(command.payload)
            if len(found) >= room or (found and size > COMMANDS_BYTES):
                break
            found.append(command)
        db.executemany(
            "update command set store = ? where number = ?",
            [(wanted.store, command.number) for command in found],
        )
    return Commands(hub, now, tuple(found), more=bool(found) and len(rows) > len(found))


def enter(db: sqlite3.Connection, node: str, key: str, order: Order, now: int, by: tuple[str, str]) -> None:
    """Write a command down; two of one key to one node are one. The caller may have a transaction open.

    `by` is the function that gave it, and the event; `now` is wall ns.
    """
    db.execute(
        "insert or ignore into command (node, key, device, name, payload, created, expires, timeout, "
        "idempotent, function, event) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            node, key, order.device, order.name, order.payload, now, now + round(order.expires * 1e9),
            order.timeout, order.idempotent, *by,
        ),
    )  # fmt: skip


def waiting(db: sqlite3.Connection, node: str) -> int:
    """Return how many commands of a node have no outcome."""
    return db.execute("select count(*) from command where node = ? and outcome is null", (node,)).fetchone()[
        0
    ]


def _reconcile(db: sqlite3.Connection, node: str, store: str, now: int) -> None:
    """Note a node's store; what another one had is given again where that does no harm, else ended."""
    known = db.execute("select store from node_store where node = ?", (node,)).fetchone()
    if known is not None and known[0] == store:
        return
    db.execute("insert or replace into node_store values (?, ?)", (node, store))
    doubtful = "where node = ? and outcome is null and store is not null and store != ?"
    db.execute(
        f"update command set outcome = 'refused', ended = ?, detail = ? {doubtful} and not idempotent",  # noqa: S608 (ours)
        (now, "the node's store was replaced, and nobody knows whether it was carried out", node, store),
    )
    db.execute(f"update command set store = null {doubtful}", (node, store))  # noqa: S608 (ours)


def settle(db: sqlite3.Connection, rows: list[dict[str, Any]], now: int) -> int:
    """Take results, rows of `_result`, and return how many commands they end; a late one corrects a guess."""
    ended = 0
    with transaction(db):
        for row in rows:
            outcome = row["outcome"] if row["outcome"] in OUTCOMES else "unknown"
            ended += db.execute(
                "update command set outcome = ?, detail = ?, reply = ?, ended = ?, told = 1 "
                "where node = ? and key = ? and not told",
                (outcome, row["detail"], row["reply"], now, row["_node"], row["key"]),
            ).rowcount
    return ended


def expire(db: sqlite3.Connection, now: int) -> int:
    """End commands that nobody asked for in time, and those that nobody told of; forget old ones."""
    with transaction(db):
        ended = db.execute(
            "update command set outcome = 'expired', ended = ?1, detail = 'its node did not ask for it' "
            "where outcome is null and store is null and expires < ?1",
            (now,),
        ).rowcount
        ended += db.execute(
            "update command set outcome = 'unknown', ended = ?, detail = 'its node did not tell' "
            "where outcome is null and expires < ?",
            (now, now - LATE),
        ).rowcount
        db.execute("delete from command where outcome is not null and expires < ?", (now - KEPT,))
    return ended


def newest(db: sqlite3.Connection, after: int) -> tuple[int, list[str]]:
    """Return the newest number, and the nodes that have commands beyond another one."""
    last = db.execute("select coalesce(max(number), 0) from command").fetchone()[0]
    if last <= after:
        return after, []
    nodes = db.execute(
        "select distinct node from command where number > ? and outcome is null", (after,)
    ).fetchall()
    return last, [node for (node,) in nodes]


def state_of(db: sqlite3.Connection, node: str, key: str) -> CommandState | None:
    """Return one command."""
    row = db.execute(f"select {_STATE} from command where node = ? and key = ?", (node, key)).fetchone()  # noqa: S608 (ours)
    return None if row is None else _state(row)


def states(db: sqlite3.Connection, node: str | None = None, most: int = 1000) -> list[CommandState]:
    """Return the newest commands, of one node or of all, oldest first."""
    rows = db.execute(
        f"select {_STATE} from command where ?1 is null or node = ?1 order by number desc limit ?2",  # noqa: S608 (ours)
        (node, most),
    ).fetchall()
    return [_state(row) for row in reversed(rows)]


def _state(row: tuple[Any, ...]) -> CommandState:
    return CommandState(*row[:-1], taken=bool(row[-1]))
