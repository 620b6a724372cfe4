"""Having a node that runs go over to the app as it was saved, and what a person is told of that."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from rimward.edge.versions.wanted import TAKEN, WANTED, Taken, Wanted, read, write
from rimward.local.checking import short

LOOK = 0.02  # seconds between two looks for the answer


async def renew(folder: Path, wanted: Wanted, pid: Callable[[], int | None], allowed: float) -> Taken | None:
    """Have the node of a folder go over; None where it gives no answer within `allowed` seconds, or is gone.

    `pid` is its process while that serves.
    """
    process = pid()
    if process is None:
        return None
    try:
        await asyncio.to_thread(write, folder, WANTED, wanted)
        os.kill(process, signal.SIGHUP)
    except OSError:
        return None
    end = time.monotonic() + allowed
    while pid() == process and time.monotonic() < end:
        taken = await asyncio.to_thread(read, folder, TAKEN, Taken)
        if taken is not None and taken.number == wanted.number:
            return taken
        await asyncio.sleep(LOOK)
    return None


def told(app: str, taken: Taken) -> str:
    """Return what became of a save, as one sentence."""
    if taken.outcome == "running":
        return (
            f"{app} was saved: it runs since {taken.seconds * 1e3:.0f} ms after it was asked for, "
            f"{taken.still * 1e3:.0f} ms of which the node stood still; connections stayed open"
        )
    if taken.outcome == "restart":
        return f"{app} was saved: the node starts anew, for {taken.reason}"
    place = f"{short(taken.file)}:{taken.line}: " if taken.file else ""
    cure = f": {taken.cure}" if taken.cure else ""
    return f"{place}{taken.reason}{cure} (what ran before the save runs on)"
