"""The care of one Delta table: small files become large ones, old rows expire, old files and log entries go.

Everything is a commit beside ingest's, on stable storage before what it replaces is deleted; a conflict is
tried again at the next look. Killed between any two steps it leaves a table that is whole (docs/adr/0077).
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import DeltaError
from msgspec import Struct

from rimward.cloud.config import UpkeepConfig
from rimward.cloud.lake.expiring import Expiry, counted, ended, expiry_of
from rimward.cloud.lake.storage import LOG_RETENTION, LakeBroken, Storage
from rimward.cloud.lake.syncing import Syncer
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach

log: Logger = get_logger("rimward.upkeep")

NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
HOUR = 3_600_000_000_000  # ns
DAY = 24 * HOUR
CHECKPOINT_AFTER = 10  # commits


class _File(NamedTuple):
    site: str | None
    bytes: int


class _Checkpoint(Struct):
    version: int


class Tended(Struct):
    """What one look found and did."""

    files_today: int = 0
    counts: Counter[str] = Counter()


class Tending:
    """One table's care; it is asked to look again and again, and does what is due."""

    def __init__(
        self,
        storage: Storage,
        name: str,
        config: UpkeepConfig,
        now: Callable[[], int],
        retention: float | None = None,
    ) -> None:
        """`now` is the wall clock, ns; `retention` seconds a row stays, None for ever."""
        self._storage = storage
        self._name = name
        self._config = config
        self._now = now
        self._retention = retention
        self._syncer = Syncer(storage, name)
        self._handle: DeltaTable | None = None
        self._due = 0  # wall ns of the next tidying
        self._full_due = 0  # wall ns of the next look for files that no commit has
        self._done: dict[str, int] = {}  # files of closed days that can't become fewer
        self._counts: Counter[str] = Counter()

    def look(self) -> Tended:
        """Do what is due.

        Raises:
            LakeBroken: an fsync failed; this process may not look after the table any more.
            OSError: the store is not there.
        """
        self._counts = Counter()
        files: dict[str, list[_File]] = {}
        try:
            files = self._by_day(self._open())
            self._do(files)
        except DeltaError as error:
            self._handle = None
            self._counts["upkeep_retries"] += 1
            log.info("upkeep of a table starts over", table=self._name, error=type(error).__name__)
        return Tended(len(files.get(self._today(), ())), self._counts)

    def _do(self, files: dict[str, list[_File]]) -> None:
        now = self._now()
        if now < self._due:
            if spare(files.get(self._today(), []), self._config.first_bytes) >= self._config.small_files:
                self._compact(self._today(), self._config.first_bytes)
            return
        self._expire(now)
        for day, found in sorted(self._by_day(self._open()).items()):
            if spare(found, self._config.file_bytes) and self._done.get(day) != len(found):
                self._compact(day, self._config.file_bytes)
                self._done[day] = len(self._by_day(self._open()).get(day, ()))
        self._done = {day: count for day, count in self._done.items() if day in files}
        self._clean(now)
        self._due = now + int(self._config.tidy_every * 1e9)

    def _open(self) -> DeltaTable:
        if self._handle is None:
            self._handle = self._storage.open(self._name)
            self._syncer.opened(self._handle.version())
        else:
            self._handle.update_incremental()
        return self._handle

    def _by_day(self, handle: DeltaTable) -> dict[str, list[_File]]:
        actions: Any = handle.get_add_actions(flatten=True)
        found: dict[str, list[_File]] = defaultdict(list)
        days, sizes = actions.column("partition._day"), actions.column("size_bytes")
        sited = "partition._site" in actions.schema.names  # tables of before have no such partition
        sites = actions.column("partition._site").to_pylist() if sited else [None] * len(sizes)
        for day, site, size in zip(days.to_pylist(), sites, sizes.to_pylist(), strict=True):
            found[day].append(_File(site, size))
        return found

    def _compact(self, day: str, target: int) -> None:
        """Make small files of a day into large ones; its rows stay the same."""
        handle = self._open()
        reach("upkeep.compacting")
        done: Any = handle.optimize.compact(
            partition_filters=[("_day", "=", day)],
            target_size=target,
            max_concurrent_tasks=1,
            post_commithook_properties=NO_HOOKS,
        )
        reach("upkeep.compacted")
        self._sync(handle)
        if done["numFilesRemoved"]:
            self._counts["compactions"] += 1
            self._counts["files_compacted"] += done["numFilesRemoved"]

    def _expire(self, now: int) -> None:
        """Delete rows past their retention; their count by node goes into the same commit."""
        if self._retention is None:
            return
        handle = self._open()
        expiry = expiry_of(handle, self._name, self._retention, now)
        if expiry is not None:
            self._delete(handle, expiry)

    def _delete(self, handle: DeltaTable, expiry: Expiry) -> None:
        marks = [
            Transaction(counted("expired", node, self._name), total)
            for node, total in sorted(expiry.totals.items())
        ]
        marks += [Transaction(ended(*lane), end) for lane, end in sorted(expiry.ends.items())]
        handle.delete(
            expiry.predicate,
            commit_properties=CommitProperties(app_transactions=marks),
            post_commithook_properties=NO_HOOKS,
        )
        reach("upkeep.expired")
        self._sync(handle)
        self._counts["expired"] += expiry.rows
        log.info("rows were kept as long as their fact says", table=self._name, rows=expiry.rows)

    def _clean(self, now: int) -> None:
        """Write a checkpoint, then delete what lies before it and what no version needs any more."""
        handle = self._open()
        kept = f"interval {self._config.keep_versions} seconds"
        if handle.metadata().configuration.get(LOG_RETENTION) != kept:
            handle.alter.set_table_properties({LOG_RETENTION: kept})
            self._sync(handle)
        if handle.version() - self._checkpointed() >= CHECKPOINT_AFTER:
            handle.create_checkpoint()
            reach("upkeep.checkpointed")
            self._synced(handle.version(), self._syncer.checkpoint)
        if self._checkpointed() >= 0:
            handle.cleanup_metadata()  # an hour after an erasure's checkpoint too: older entries name values
        full, self._full_due = now >= self._full_due, max(self._full_due, now + DAY)
        if removable := self._vacuum(handle, full=full, dry_run=True):
            self._vacuum(handle, full=full, dry_run=False)
            reach("upkeep.vacuumed")
            self._sync(handle)
            self._counts["files_vacuumed"] += len(removable)

    def _vacuum(self, handle: DeltaTable, *, full: bool, dry_run: bool) -> list[str]:
        return handle.vacuum(
            retention_hours=self._config.keep_versions // 3600,
            dry_run=dry_run,
            enforce_retention_duration=False,
            full=full,
            post_commithook_properties=NO_HOOKS,
        )

    def _checkpointed(self) -> int:
        """Return the version of the last checkpoint, whoever wrote it."""
        written = self._storage.read(f"{self._name}/_delta_log/_last_checkpoint")
        return -1 if written is None else msgspec.json.decode(written, type=_Checkpoint).version

    def _sync(self, handle: DeltaTable) -> None:
        handle.update_incremental()
        self._synced(handle.version(), self._syncer.sync)

    def _synced(self, version: int, sync: Callable[[int], None]) -> None:
        try:
            sync(version)
        except OSError as error:
            raise LakeBroken(f"{self._name}: {error}") from error

    def _today(self) -> str:
        return datetime.fromtimestamp(self._now() / 1e9, UTC).date().isoformat()


def spare(files: list[_File], target: int) -> int:
    """Return how many files fewer there could be: a site's that are not half as large as the target."""
    sites = Counter(file.site for file in files if file.bytes < target // 2)
    return sum(count - 1 for count in sites.values())
