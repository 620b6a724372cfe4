"""The numbers of what cloud functions forward: an epoch of their own, as a node's outbox has."""

import os
import sqlite3

from rimward.cloud.functions.hubdb import epoch_of


def begin_epoch(db: sqlite3.Connection, marks: dict[str, tuple[int, int]]) -> None:
    """Number forwards so that none can be taken for another: in an epoch that the lake agrees with.

    `marks` are the lake's of the hub's own lanes. Where it has more of them than this file ever gave, the
    file is an older copy: what waits in it gets new numbers in a new epoch. Call it inside a transaction.
    """
    epoch, last = epoch_of(db), dict(db.execute("select table_name, last from hub_lane"))
    if epoch is not None and all(
        counter < epoch.counter or (counter == epoch.counter and seq <= last.get(table, 0))
        for table, (counter, seq) in marks.items()
    ):
        return
    counters = [counter for counter, _ in marks.values()]
    counter = max([*counters, epoch.counter if epoch else 0]) + 1
    nonce = int.from_bytes(os.urandom(4), "big")
    db.execute("delete from hub_epoch")
    db.execute("insert into hub_epoch values (?, ?)", (counter, nonce))
    if epoch is not None:
        _renumber(db, epoch.counter, marks)


def _renumber(db: sqlite3.Connection, counter: int, marks: dict[str, tuple[int, int]]) -> None:
    """Number what waits from 1 again; what the lake has of it is done with."""
    for table, last in db.execute("select table_name, last from hub_lane").fetchall():
        epoch, seq = marks.get(table, (0, 0))
        sent = seq if epoch == counter else 0
        db.execute("delete from hub_row where table_name = ? and seq <= ?", (table, sent))
        waiting = db.execute("select seq from hub_row where table_name = ? order by seq", (table,)).fetchall()
        db.executemany(
            "update hub_row set seq = ? where table_name = ? and seq = ?",
            [(number, table, before) for number, (before,) in enumerate(waiting, 1)],
        )
        db.execute(
            "insert or replace into hub_before values (?, ?, ?)",
            (counter, table, max(last, sent) - len(waiting)),
        )
        db.execute("update hub_lane set last = ? where table_name = ?", (len(waiting), table))
