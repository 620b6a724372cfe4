"""Dead letters: the newest that their budget holds."""

import sqlite3

import msgspec

from rimward.edge.outbox.records import DeadLetter

_ENCODER = msgspec.msgpack.Encoder()


def bury(db: sqlite3.Connection, dead: list[DeadLetter], total: int, budget: int) -> int:
    """Keep dead letters beside those that take `total` bytes; return what all take then."""
    if not dead:
        return total
    bodies = [(letter.at, _ENCODER.encode(letter)) for letter in dead]
    db.executemany(
        "insert into dead (at, bytes, body) values (?, ?, ?)", [(at, len(body), body) for at, body in bodies]
    )
    total += sum(len(body) for _, body in bodies)
    while total > budget:
        oldest = db.execute("select id, bytes from dead order by id limit 64").fetchall()
        for id_, size in oldest:
            if total <= budget:
                break
            db.execute("delete from dead where id = ?", (id_,))
            total -= size
    return total
