"""Commits of a Delta table on a local folder, put on stable storage in their order.

delta-rs never calls fsync there (docs/adr/0007). Whoever commits syncs every version up to its own,
others' too, oldest first: an entry that a power cut keeps has all of those before it.
"""

import json
from pathlib import Path
from urllib.parse import unquote

from rimward.cloud.lake.storage import Storage
from rimward.observe.disk import sync

UNKNOWN = 1 << 62
UNSURE = 16  # newest commits that are synced at an open: a writer that was killed may not have come to it


class Syncer:
    """How far one table's commits are known to be on stable storage."""

    def __init__(self, storage: Storage, table: str) -> None:
        self._storage = storage
        self._name = table
        self._folder = None if storage.folder is None else storage.folder / table
        self._synced = UNKNOWN

    def opened(self, version: int) -> None:
        """Hear of an open at a version: its newest commits may be those of a writer that was killed."""
        self._synced = min(self._synced, max(-1, version - UNSURE))

    def sync(self, version: int) -> None:
        """Put every commit up to this one on stable storage, where that isn't known yet.

        Whatever goes wrong on the way, the commit counts as unsynced: the next call comes here again. In an
        object store its answer counts: what it has taken is kept.

        Raises:
            OSError: the disk refused.
        """
        if self._folder is None:
            return
        for one in range(self._synced + 1, version + 1):
            if self._storage.has_version(self._name, one):
                sync_commit(self._folder, one)
            self._synced = one

    def checkpoint(self, version: int) -> None:
        """Put a checkpoint of a version on stable storage, before anything that it replaces is deleted.

        Raises:
            OSError: the disk refused.
        """
        if self._folder is not None:
            _sync_checkpoint(self._folder / "_delta_log", version)
            sync(self._folder / "_delta_log")


def sync_commit(table: Path, version: int) -> None:
    """Put a commit on stable storage: its data files, the log entry, a checkpoint, then their folders."""
    entry = table / "_delta_log" / f"{version:020}.json"
    folders = [entry.parent, table, table.parent, table.parent.parent]
    for line in entry.read_bytes().split(b"\n"):  # JSON may hold what else ends a line in Unicode as it is
        added = json.loads(line).get("add") if line else None
        if added is not None:
            file = table / unquote(added["path"])
            if file.exists():  # not where it has been compacted and removed since
                sync(file)
                inner = file.relative_to(table).parents
                folders[:0] = [table / folder for folder in inner]  # a partition's folders are new as well
    sync(entry)
    _sync_checkpoint(entry.parent, version)
    for folder in dict.fromkeys(folders):
        sync(folder)


def _sync_checkpoint(log: Path, version: int) -> None:
    for checkpoint in log.glob(f"{version:020}.checkpoint*"):
        sync(checkpoint)
        sync(log / "_last_checkpoint")
