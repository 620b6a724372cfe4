"""The outbox read by the other process: read-only, in short transactions so that checkpoints go on."""

import sqlite3
import zlib
from pathlib import Path

from rimward.network.uplink import Segment
from rimward.wire import Epoch

ROWS, BYTES = 500, 48 << 10  # of one envelope


class OutboxReader:
    """Chunks as segments of lanes."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self.corrupt = 0

    def version(self) -> int:
        """Return a number that changes when another process has committed."""
        return self._db.execute("pragma data_version").fetchone()[0]

    def facts(self) -> dict[str, str]:
        """Return each fact with rows here and its priority."""
        return dict(self._db.execute("select fact, max(priority) from chunk group by fact").fetchall())

    def epochs(self) -> dict[int, Epoch]:
        """Return the epochs by their counters."""
        rows = self._db.execute("select counter, nonce from epoch").fetchall()
        return {counter: Epoch(counter, nonce) for counter, nonce in rows}

    def segment(self, fact: str, after: tuple[int, int]) -> Segment | None:
        """Return the rows that follow (counter, seq), as many as one envelope takes; older epochs first."""
        chunks = self._db.execute(
            "select counter, first, last, schema, priority, crc, body from chunk "
            "where fact = ? and (counter, last) > (?, ?) order by counter, first limit 64",
            (fact, *after),
        ).fetchall()
        found: Segment | None = None
        for counter, first, last, schema, priority, crc, body in chunks:
            damaged = zlib.crc32(body) != crc
            if found is None:
                found = Segment(fact, counter, first, last, schema, priority, b"" if damaged else body)
                if damaged:
                    self.corrupt += 1
                    found.lost = "corrupt"
                    break
            elif (
                damaged
                or counter != found.counter
                or schema != found.schema
                or last - found.first >= ROWS
                or len(found.rows) + len(body) > BYTES
            ):
                break
            else:
                found.rows += body
                found.last = last
        return found

    def close(self) -> None:
        """Close the file."""
        self._db.close()
