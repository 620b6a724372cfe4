"""Where a lake is: a folder, or a place in an object store.

Everything that opens a table asks here for it; who commits asks whose work an fsync is: `folder` is None
where the store's answer already means that it is kept (docs/adr/0075).
"""

import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from deltalake import DeltaTable

from rimward.cloud.config import VERSIONS_KEPT, LakePlace
from rimward.events import RimwardError
from rimward.observe.disk import sync

PLACE = "lake.json"  # in a hub's data folder: where its lake is, if it isn't in the folder `lake`
FOLDER = "lake"
LOG = "_delta_log"
LOG_RETENTION = "delta.logRetentionDuration"
SECRET = ("key", "secret", "token", "password", "sas")  # names of options that are never told


class NoLake(RimwardError):
    """The lake's place can't be used."""

    code = "no-lake"


class LakeBroken(RimwardError):
    """A commit could not be put on stable storage: what the lake says of itself can't be trusted."""

    code = "lake-broken"


class Storage(ABC):
    """A lake's tables, by name."""

    folder: Path | None = None  # of a lake on this machine: fsync is the writer's work there
    options: Mapping[str, str] = {}

    @abstractmethod
    def uri(self, table: str) -> str:
        """Return a table's address, as delta-rs takes it."""

    @abstractmethod
    def tables(self) -> list[str]:
        """Return the names of all tables."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Tell whether there is such a file, named from the lake's root with slashes."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return a file; None where it isn't there."""

    @abstractmethod
    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write a file that isn't there yet, durably; False where it is there already."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Write a file, durably, whatever there was."""

    @abstractmethod
    def excludes(self) -> bool:
        """Tell whether the second of two writers of one file is refused: else one process alone may write."""

    def open(self, table: str, version: int | None = None) -> DeltaTable:
        """Open a table as it is now, or as it was.

        Raises:
            TableNotFoundError: there is none of this name.
        """
        return DeltaTable(self.uri(table), version=version, storage_options=dict(self.options) or None)

    def create(self, table: str, schema: Any, partition_by: list[str]) -> bool:
        """Make a table; False where another has made it in this moment, and that one is left as it is.

        delta-rs looks whether there is a table and then writes, so that the second of two takes the first
        one's place. Its first entry is put where there is none instead (docs/adr/0115).
        """
        entry = _first_entry(self.uri(table), table, schema, partition_by)
        return self.put_if_absent(f"{table}/{LOG}/{0:020}.json", entry)

    def has_version(self, table: str, version: int) -> bool:
        """Tell whether a table's log has the entry of a version."""
        return self.has(f"{table}/{LOG}/{version:020}.json")


class Folder(Storage):
    """A lake in a local folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.folder: Path | None = folder

    def __repr__(self) -> str:
        return str(self._folder)

    def uri(self, table: str) -> str:
        """Return a table's folder, which need not be there."""
        return str(self._folder / table)

    def tables(self) -> list[str]:
        """Return the names of the folders with a log that has an entry."""
        logs = self._folder.glob(f"*/{LOG}")
        return sorted(log.parent.name for log in logs if next(log.glob("*.json"), None) is not None)

    def has(self, name: str) -> bool:
        """Look for the file."""
        return (self._folder / name).exists()

    def read(self, name: str) -> bytes | None:
        """Read the file."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write a draft, put it on stable storage, and link it under its name if that is free."""
        path = self._folder / name
        draft = _drafted(path, data)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        sync(path.parent)
        return True

    def put(self, name: str, data: bytes) -> None:
        """Write a draft, put it on stable storage, and in the place of what was there."""
        path = self._folder / name
        _drafted(path, data).replace(path)
        sync(path.parent)

    def excludes(self) -> bool:
        """A local file system has atomic names."""
        return True


def _drafted(path: Path, data: bytes) -> Path:
    """Write a file's bytes beside it, on stable storage; each thread has a draft of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _first_entry(uri: str, table: str, schema: Any, partition_by: list[str]) -> bytes:
    """Return the first entry of a new table's log, as delta-rs writes it in a folder that is nobody's."""
    with tempfile.TemporaryDirectory(prefix="rimward-") as folder:
        DeltaTable.create(
            folder,
            schema=schema,
            partition_by=partition_by,
            name=table,
            configuration={LOG_RETENTION: f"interval {VERSIONS_KEPT} seconds"},
        )
        lines = (Path(folder) / LOG / f"{0:020}.json").read_bytes().splitlines()
    actions: list[dict[str, Any]] = [msgspec.json.decode(line) for line in lines if line]
    for action in actions:
        parameters = action.get("commitInfo", {}).get("operationParameters", {})
        if "location" in parameters:
            parameters["location"] = uri
    return b"".join(msgspec.json.encode(action) + b"\n" for action in actions)


def storage_of(place: Storage | Path | LakePlace) -> Storage:
    """Return the storage at a place.

    Raises:
        NoLake: the file of keys can't be read, or the address is none.
    """
    if isinstance(place, Storage):
        return place
    if isinstance(place, Path):
        return Folder(place)
    if "://" not in place.url:
        return Folder(Path(place.url))
    from rimward.cloud.lake.objects import ObjectStore

    return ObjectStore(place.url, _options(place))


def lake_of(data: Path) -> Storage:
    """Return the lake of a hub's data folder, wherever it is.

    Raises:
        NoLake: its place is given and can't be used.
    """
    try:
        written = (data / PLACE).read_bytes()
    except FileNotFoundError:
        return Folder(data / FOLDER)
    try:
        place = msgspec.json.decode(written, type=LakePlace)
    except msgspec.MsgspecError as error:
        raise NoLake(f"{data / PLACE}: {error}") from None
    return storage_of(place) if place.url else Folder(data / FOLDER)


def has_lake(data: Path) -> bool:
    """Tell whether a hub's data folder has a lake, or says where it is."""
    return (data / PLACE).exists() or (data / FOLDER).is_dir()


def keep_place(data: Path, place: LakePlace) -> None:
    """Write down where a hub's lake is, for those who read it; without a URL nothing is written."""
    path, wanted = data / PLACE, msgspec.json.encode(place)
    if not place.url:
        path.unlink(missing_ok=True)
        return
    if path.exists() and path.read_bytes() == wanted:
        return
    data.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    draft.write_bytes(wanted)
    draft.chmod(0o600)
    draft.replace(path)


def _options(place: LakePlace) -> dict[str, str]:
    """Return what object_store is to know, with the keys."""
    options = dict(place.options)
    if place.endpoint:
        options["endpoint"] = place.endpoint
        if place.endpoint.startswith("http://"):
            options["allow_http"] = "true"
    if place.region:
        options["region"] = place.region
    if place.keys:
        options |= _keys(Path(place.keys))
    return options


def _keys(path: Path) -> dict[str, str]:
    """Read a file of keys; what is wrong with it is said without a word of it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no JSON object of strings"
        raise NoLake(f"lake.keys: {path}: {why}") from None
