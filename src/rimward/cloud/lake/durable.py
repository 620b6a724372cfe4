"""A Delta table whose commits are on stable storage before anyone hears of them.

delta-rs never calls fsync on a local folder, so it is done here (docs/adr/0007). It takes lower transaction
versions too: whoever writes compares first, on the handle that commits. Two writers of one application id
with the same snapshot: the second fails, and that is the fence.
"""

import json
from collections.abc import Mapping
from typing import Any

from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from rimward.cloud.lake.storage import LakeBroken, Storage
from rimward.cloud.lake.syncing import Syncer
from rimward.cloud.lake.tables import partitions_of, to_arrow
from rimward.observe.failpoints import reach

DIFFERENT = ("_time", "_seq", "_event", "_mono")  # in each row: a dictionary of them only costs
WRITER = WriterProperties(
    compression="SNAPPY",
    column_properties={name: ColumnProperties(dictionary_enabled=False) for name in DIFFERENT},
)
HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
# the log is cleaned by upkeep alone, and only behind a checkpoint that is on stable storage


class DurableTable:
    """One open table; every method may raise deltalake's errors.

    Raises:
        LakeBroken: an fsync failed.
    """

    def __init__(self, storage: Storage, name: str, schema: Any) -> None:
        self._storage = storage
        self._name = name
        self._schema = schema
        self.created = False
        self._id = ""
        self._syncer = Syncer(storage, name)
        self._searched = -1  # the version up to which commits were searched for a restore
        self._restored = -1  # the newest one that was found
        self.reopen()

    def reopen(self) -> None:
        """Look at the table as it is now, create it where it is not, and add columns that are new."""
        self.created = False
        try:
            self.handle = self._storage.open(self._name)
        except TableNotFoundError:
            self._storage.create(self._name, self._schema, partitions_of(self._name))
            self.handle = self._storage.open(self._name)
            self.created: bool = not self.version  # by this process or, in this moment, by another
        self._marks: dict[str, int] = {}
        if self.id != self._id:
            self._id, self._searched, self._restored = self.id, -1, -1
        self._syncer.opened(self.version)
        self._sync()
        known = {field.name for field in self.handle.schema().fields}
        if any(field.name not in known for field in self._schema):
            write_deltalake(
                self.handle,
                to_arrow(self._schema, []),
                mode="append",
                schema_mode="merge",
                post_commithook_properties=HOOKS,
            )  # nullable columns: an empty append with the wider schema
            self.handle: DeltaTable = self._storage.open(self._name)
            self._sync()

    @property
    def version(self) -> int:
        """The version that the handle has read."""
        return self.handle.version()

    @property
    def id(self) -> str:
        """The table's id: another one after it was deleted and made anew."""
        return str(self.handle.metadata().id)

    def there(self) -> bool:
        """Tell whether the table is still what was opened: tables can be deleted by hand."""
        return self._storage.has_version(self._name, self.version)

    def mark(self, application: str) -> int:
        """Return an application id's version; 0 where there is none. Its commit is on stable storage."""
        self._sync()
        if application not in self._marks:
            self._marks[application] = self.handle.transaction_version(application) or 0
        return self._marks[application]

    def write(self, rows: Any, marks: dict[str, int]) -> None:
        """Append rows and set marks in one commit; it is on stable storage when this returns.

        Raises:
            CommitFailedError: another writer has moved one of the marks since the handle was read, or the
                table was restored.
        """
        before = self.version
        transactions = [Transaction(application, version) for application, version in marks.items()]
        write_deltalake(
            self.handle,
            rows,
            mode="append",
            commit_properties=CommitProperties(app_transactions=transactions),
            writer_properties=WRITER,
            post_commithook_properties=HOOKS,
        )
        reach("ingest.committed")
        self.handle.update_incremental()
        self._marks = {**self._marks, **marks} if self.version == before + 1 else {}
        self._sync()
        reach("ingest.synced")
        if self.version != before + 1 and self.restored(before) > before:
            raise CommitFailedError("the table was restored just now")

    def delete(self, predicate: str, marks: Mapping[str, int] | None = None) -> None:
        """Delete rows and set marks in one commit; that is on stable storage when this returns.

        Raises:
            CommitFailedError: another writer has changed what the predicate is about.
        """
        transactions = [Transaction(application, version) for application, version in (marks or {}).items()]
        self.handle.delete(
            predicate,
            commit_properties=CommitProperties(app_transactions=transactions),
            post_commithook_properties=HOOKS,
        )
        self.handle.update_incremental()
        self._marks = {}
        self._sync()

    def checkpoint(self) -> None:
        """Write a checkpoint, on stable storage when this returns: what lies before it may go in its time."""
        self.handle.create_checkpoint()
        try:
            self._syncer.checkpoint(self.version)
        except OSError as error:
            raise LakeBroken(f"{self._name}: {error}") from error

    def refresh(self) -> bool:
        """Read what others have committed; tell whether there was anything."""
        before = self.version
        self.handle.update_incremental()
        if self.version != before:
            self._marks = {}
            self._sync()
        return self.version != before

    def restored(self, since: int) -> int:
        """Return the newest version above `since` at which the table was restored, or `since`."""
        start = max(since, min(self._searched, self.version))
        if start < self.version:
            self._restored = max([self._restored, *self.restores(start)])
        self._searched = self.version
        return max(since, self._restored)

    def restores(self, since: int) -> list[int]:
        """Return every version above `since` at which the table was restored, as far as its log goes back.

        deltalake's `history` says the same, and lets no other thread run while the store answers.
        """
        return restores_of(self._storage, self._name, since, self.version)

    def at(self, version: int) -> DeltaTable:
        """Return the table as it was at a version."""
        return self._storage.open(self._name, version)

    def _sync(self) -> None:
        """Put every commit that isn't known to be there on stable storage: marks rest on others' too."""
        try:
            self._syncer.sync(self.version)
        except OSError as error:
            raise LakeBroken(f"{self._name}: {error}") from error


def restores_of(storage: Storage, name: str, since: int, version: int) -> list[int]:
    """Return every version above `since` up to another at which a table was restored, as its log has them."""
    found = list[int]()
    for one in range(version, since, -1):
        entry = storage.read(f"{name}/_delta_log/{one:020}.json")
        if entry is None:  # the log was cleaned up to here
            break
        if b"RESTORE" in entry and operation_of(entry) == "RESTORE":
            found.append(one)
    return found[::-1]


def operation_of(entry: bytes) -> str | None:
    """Return what a commit says that it did; None where it does not say it."""
    for line in entry.split(b"\n"):
        if b"commitInfo" in line and (info := json.loads(line).get("commitInfo")) is not None:
            return info.get("operation")
    return None
