"""The lake's upkeep, a part of the hub: it looks at every table again and again, and tells of trouble."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping

from rimward.app.manifest import FactSpec
from rimward.cloud.config import UpkeepConfig
from rimward.cloud.lake.storage import LakeBroken, Storage
from rimward.cloud.lake.tending import Tending
from rimward.cloud.store import Records
from rimward.observe import Logger, get_logger
from rimward.observe.threads import in_thread

log: Logger = get_logger("rimward.upkeep")

FILES_TODAY = "files_today"  # of the table that has most


class Upkeep:
    """Keeps the tables of one lake."""

    def __init__(
        self,
        storage: Storage,
        config: UpkeepConfig,
        facts: Mapping[str, FactSpec],
        records: Records,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """`facts` by their table, which know how long rows are kept; `now` is the wall clock, ns."""
        self._storage = storage
        self._config = config
        self._facts = facts
        self._records = records
        self._now = now
        self._tables: dict[str, Tending] = {}
        self._crowded: set[str] = set()
        self._broken: set[str] = set()
        self._excludes: bool | None = None  # not known yet

    async def run(self) -> None:
        """Look at all tables, wait, and look again."""
        while True:
            await in_thread(self.look)
            await asyncio.sleep(self._config.every)

    def look(self) -> Counter[str]:
        """Do what is due at every table, and return what was done.

        Raises:
            OSError: the disk or the store refused; the next look goes on from there.
        """
        done: Counter[str] = Counter()
        if not self._may_write():
            return done
        most = 0
        for name in self._storage.tables():
            if name in self._broken:
                continue
            try:
                tended = self._tending(name).look()
            except LakeBroken as error:  # what was not kept may look kept at a second fsync
                self._broken.add(name)
                log.error("a table is kept no more until the hub starts anew", table=name, error=str(error))  # noqa: TRY400 (one line)
                done["upkeep_broken"] += 1
                continue
            done.update(tended.counts)
            most = max(most, tended.files_today)
            self._watch(name, tended.files_today)
        self._records.add(done)
        self._records.put(FILES_TODAY, most)
        return done

    def _may_write(self) -> bool:
        if self._excludes is None:
            self._excludes = self._storage.excludes()
            if not self._excludes:
                log.error("the store has no put-if-absent: one writer alone may commit, and upkeep is off")
        return self._excludes

    def _tending(self, name: str) -> Tending:
        if name not in self._tables:
            spec = self._facts.get(name)
            retention = None if spec is None else spec.keeping.retention
            self._tables[name] = Tending(self._storage, name, self._config, self._now, retention)
        return self._tables[name]

    def _watch(self, name: str, files: int) -> None:
        """Raise an alarm once, when a table has too many files of today."""
        if files <= self._config.alarm_files:
            self._crowded.discard(name)
        elif name not in self._crowded:
            self._crowded.add(name)
            log.error("a table has too many files of today", table=name, files=files)
