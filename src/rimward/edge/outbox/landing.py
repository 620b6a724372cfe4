"""Chunks, their lanes and their tallies by one statement, which is its own transaction.

sqlite3 gives the GIL up three times a statement and waits for the loop to get it back; six statements a group
made it as slow as the loop was busy (docs/adr/0111). The view and its trigger are the connection's own:
nothing of them is in the file.
"""

import sqlite3
from collections.abc import Iterable

from rimward.edge.outbox.chunks import Body
from rimward.edge.outbox.stock import INTO_LANE, INTO_TALLY

MOST = 8  # chunks that one statement takes; beyond that its fixed cost is no matter
_COLUMNS = 10
_VIEW = (
    "create temp view landing (counter, lane, first, last, priority, schema, crc, body, at, ran) "
    f"as select {', '.join(['null'] * _COLUMNS)}"
)
_TRIGGER = f"""
create temp trigger landed instead of insert on landing begin
  insert into chunk values (new.counter, new.lane, new.first, new.last, new.at, new.priority, new.schema,
    new.crc, new.body, new.ran);
  {INTO_LANE.format("new.counter, new.lane, new.last, length(new.body), new.priority")};
  {INTO_TALLY.format("new.lane, 'forwarded', new.last - new.first + 1")};
end
"""  # noqa: S608 (constants)


class Landing:
    """The one statement of a connection that is in autocommit mode."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute("pragma temp_store=memory")
        db.execute(_VIEW)
        db.execute(_TRIGGER)
        row = f"({', '.join('?' * _COLUMNS)})"
        rows = [", ".join([row] * (number + 1)) for number in range(MOST)]
        self._statements = [f"insert into landing values {some}" for some in rows]  # noqa: S608 (question marks)

    def write(self, counter: int, bodies: list[Body], at: int, ran: int) -> None:
        """Commit at most MOST chunks of an epoch; they are on disk when this returns.

        Raises:
            sqlite3.Error: nothing of it is written.
        """
        values: Iterable[object] = [
            value
            for body in bodies
            for value in (counter, body.lane, body.first, body.last, *body[3:], at, ran)
        ]
        self._db.executemany(
            self._statements[len(bodies) - 1], [values]
        )  # `execute` gives the GIL up once more
