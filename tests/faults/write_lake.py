"""`python write_lake.py FOLDER`: ingests until it is killed; says which marks it would announce."""

import os
import sys
import time
from pathlib import Path

import msgspec

from rimward.app.manifest import Column, FactSpec
from rimward.cloud.ingest.core import Envelope, Ingest
from rimward.wire import Epoch, Header, Lane, Row

WARM = FactSpec("Warm", "warm", "normal", None, (Column("n", "int64"),), "print-1")


def main(folder: Path) -> None:
    """Commit envelopes of ten rows, every seventh with a row that does not fit, and print each mark."""
    ingest = Ingest(folder / "lake", (WARM,), time.time_ns)
    first = 1
    while True:
        rows = [
            Row(
                seq,
                1,
                "e",
                None,
                "synced",
                replayed=False,
                trace=None,
                values=("bad" if seq % 70 == 3 else seq,),
            )
            for seq in range(first, first + 10)
        ]
        header = Header(WARM.fingerprint, "normal", first, first + 9, 0)
        outcome = ingest.take(
            "warm", [Envelope(Lane("n1", Epoch(1, 7), "warm"), header, msgspec.msgpack.encode(rows))]
        )
        os.write(1, f"{outcome.marks[0][1].seq}\n".encode())
        first += 10


if __name__ == "__main__":
    main(Path(sys.argv[1]))
