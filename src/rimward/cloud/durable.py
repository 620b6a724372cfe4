# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""A Delta table whose commits are on stable storage before anyone hears of them.

delta-rs never calls fsync on a local folder, so it is done here: data files, log entry, checkpoint, folders
(docs/adr/0007). It takes lower transaction versions too: whoever writes compares first, on the handle that
commits. Two writers of one application id with the same snapshot: the second fails, and that is the fence.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from rimward.cloud.storage import Storage, sync_folder
from rimward.cloud.tables import partitions_of, to_arrow
from rimward.events import RimwardError
from rimward.observe.failpoints import reach

UNKNOWN = 1 << 62
DIFFERENT = ("_time", "_seq", "_event", "_mono")  # in each row: a dictionary of them only costs
WRITER = WriterProperties(
    compression="SNAPPY",
    column_properties={name: ColumnProperties(dictionary_enabled=False) for name in DIFFERENT},
)
UNSURE = 16  # newest commits that are synced at an open: a writer that was killed may not have come to it


class LakeBroken(RimwardError):
    """A commit could not be put on stable storage: what the lake says of itself can't be trusted."""

    code = "lake-broken"


class DurableTable:
    """One open table; every method may raise deltalake's errors.

    Raises:
        LakeBroken: an fsync failed.
    """

    def __init__(self, storage: Storage, name: str, schema: Any) -> None:
        self._storage = storage
        self._name = name
        self._folder = None if storage.folder is None else storage.folder / name
        self._schema = schema
        self.created = False
        self._id = ""
        self._synced = UNKNOWN  # the version up to which every commit is on stable storage
        self._searched = -1  # the version up to which commits were searched for a restore
        self._restored = -1  # the newest one that was found
        self.reopen()

    def reopen(self) -> None:
        """Look at the table as it is now, create it where it is not, and add columns that are new."""
        self.created = False
        try:
            self.handle = self._storage.open(self._name)
        except TableNotFoundError:
            self.handle = self._storage.create(self._name, self._schema, partitions_of(self._name))
            self.created: bool = True
        self._marks: dict[str, int] = {}
        if self.id != self._id:
            self._id, self._searched, self._restored = self.id, -1, -1
        self._synced = min(self._synced, max(-1, self.version - UNSURE))
        self._sync()
        known = {field.name for field in self.handle.schema().fields}
        if any(field.name not in known for field in self._schema):
            write_deltalake(
                self.handle, to_arrow(self._schema, []), mode="append", schema_mode="merge"
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

    def there(self, version: int | None = None) -> bool:
        """Tell whether the log has a version, by default the handle's: tables can be deleted by hand."""
        return self._storage.has_version(self._name, self.version if version is None else version)

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
        )
        reach("ingest.committed")
        self.handle.update_incremental()
        self._marks = {**self._marks, **marks} if self.version == before + 1 else {}
        self._sync()
        reach("ingest.synced")
        if self.version != before + 1 and self.restored(before) > before:
            raise CommitFailedError("the table was restored just now")

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
            for entry in self.handle.history(self.version - start):
                if entry.get("operation") == "RESTORE":
                    self._restored = max(self._restored, int(entry["version"]))
        self._searched = self.version
        return max(since, self._restored)

    def _sync(self) -> None:
        """Put every commit that is not known to be there on stable storage; others' too: marks rest on them.

        Whatever else goes wrong on the way, the commit counts as unsynced: the next mark comes here again.
        In an object store its answer counts: what it has taken is kept.
        """
        if self._folder is None:
            return
        try:
            for version in range(self._synced + 1, self.version + 1):
                if self.there(version):
                    sync_commit(self._folder, version)
                self._synced = version
        except OSError as error:
            raise LakeBroken(f"{self._folder}: {error}") from error


def sync_commit(table: Path, version: int) -> None:
    """Put a commit on stable storage: its data files, the log entry, a checkpoint, then their folders."""
    entry = table / "_delta_log" / f"{version:020}.json"
    folders = [entry.parent, table, table.parent, table.parent.parent]
    for line in entry.read_bytes().split(b"\n"):  # JSON may hold what else ends a line in Unicode as it is
        added = json.loads(line).get("add") if line else None
        if added is not None:
            file = table / unquote(added["path"])
            if file.exists():  # not where it has been compacted and removed since
                _sync(file)
                inner = file.relative_to(table).parents
                folders[:0] = [table / folder for folder in inner]  # a partition's folders are new as well
    _sync(entry)
    for checkpoint in entry.parent.glob(f"{version:020}.checkpoint*"):
        _sync(checkpoint)
        _sync(entry.parent / "_last_checkpoint")
    for folder in dict.fromkeys(folders):
        sync_folder(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
