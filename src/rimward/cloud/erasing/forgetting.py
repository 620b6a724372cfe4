"""The hub's part for erasures: it sees to it that they stay carried out."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rimward.cloud.erasing.listing import Erasures
from rimward.cloud.lake.storage import Storage
from rimward.observe import Logger, get_logger
from rimward.observe.threads import in_thread

if TYPE_CHECKING:
    from rimward.cloud.erasing.again import Again

log: Logger = get_logger("rimward.erasing")

EVERY = 10.0  # seconds between two looks


class Forgetting:
    """A part of the hub; where nothing was ever erased it looks at a file's time, and no more."""

    def __init__(self, data: Path, lake: Storage, now: Callable[[], int]) -> None:
        """`now` is the wall clock, ns."""
        self._data = data
        self._lake = lake
        self._now = now
        self._erasures = Erasures(data, lake)
        self._again: Again | None = None

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await in_thread(self.look)
            await asyncio.sleep(EVERY)

    def look(self) -> int:
        """Erase what has come back; return how many rows that were."""
        if not self._erasures.all():
            return 0
        if self._again is None:
            if not self._lake.excludes():
                log.warning("the store leaves writing to ingest: what a restore brings back is not erased")
                return 0
            from rimward.cloud.erasing.again import Again  # Arrow, which the hub's start goes without

            self._again = Again(self._data, self._lake, self._now)
        return self._again.look()
