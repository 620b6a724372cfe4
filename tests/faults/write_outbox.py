"""`python write_outbox.py FOLDER`: takes messages until it is killed; says which it has acknowledged."""

import asyncio
import os
import sys
import time
from pathlib import Path

from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import Forward, Outbox, Transaction
from rimward.events import RimwardError


async def main(folder: Path) -> None:
    """Append rows in bursts of 1 to 40 and print each number when its commit is done."""
    async with Outbox(folder, OutboxConfig(), time.time_ns) as outbox:
        n = 0
        while True:
            for _ in range(n % 40 + 1):
                transaction = Transaction()
                transaction.forwards.append(
                    Forward("warm", "s", "normal", 1, "e", None, None, replayed=False, values=(n, "x" * 100))
                )
                outbox.append(transaction, acknowledge(n))
                n += 1
            await asyncio.sleep(0.001)


def acknowledge(n: int):  # noqa: ANN201 (a callback)
    """Return what prints a number once it is safe: one write, so that a kill can't cut it."""

    def done(error: RimwardError | None) -> None:
        if error is None:
            os.write(1, f"{n}\n".encode())

    return done


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
