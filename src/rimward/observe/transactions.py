"""One transaction of an SQLite file."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """Commit what is written inside, or nothing of it; `db` must be in autocommit mode.

    Raises:
        sqlite3.Error: the file could not be written; nothing of it was.
    """
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        if db.in_transaction:
            db.execute("rollback")
        raise
