# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""What was added to a table, commit by commit: a look costs what is new, however large the table is.

Only appends count. Compaction, a delete for retention and a restore add files too, with rows that were there
before. Where the log no longer has a commit, or a file of it is vacuumed, the table is searched instead.

Arrow is imported with the first rows: the hub and its functions' worker start without.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from msgspec import Struct

from rimward.cloud.lake.storage import Storage
from rimward.events import RimwardError
from rimward.wire import split_version, transaction_version

Row = dict[str, Any]
SEARCHED = 20_000  # rows of one node that a search holds at a time
_ORDER = ("_node", "_lane", "_epoch", "_seq")


class HistoryGone(RimwardError):
    """A commit can't be read any more: the log or a data file was cleaned up, or the table was replaced."""

    code = "history-gone"


class Commit(Struct, frozen=True):
    """One commit's rows, each lane's in its order, and the marks that it set."""

    version: int
    rows: list[Row]
    marks: dict[str, int]  # by transaction id; a repaired row comes without its lane's


class Changes:
    """A table as its reader sees it; `look` first."""

    def __init__(self, lake: Storage, table: str) -> None:
        self._lake = lake
        self.name: str = table
        self._handle: DeltaTable | None = None

    def look(self) -> bool:
        """Look at the table as it is now; False where there is none."""
        try:
            if self._handle is None or not self._lake.has_version(self.name, self.version):
                self._handle = self._lake.open(self.name)
            self._handle.update_incremental()
        except TableNotFoundError:
            self._handle = None
        return self._handle is not None

    @property
    def id(self) -> str:
        """The table's id: another one after it was deleted and made anew."""
        return str(self._table.metadata().id)

    @property
    def version(self) -> int:
        """The newest version that was looked at."""
        return self._table.version()

    def mark(self, application: str) -> int:
        """Return an application id's version, 0 where there is none."""
        return self._table.transaction_version(application) or 0

    def commit(self, version: int) -> Commit:
        """Return what a commit added.

        Raises:
            HistoryGone: it can't be read any more.
        """
        files = self._files()
        try:
            entry = self._lake.read(f"{self.name}/_delta_log/{version:020}.json")
            if entry is None:
                raise FileNotFoundError  # noqa: TRY301 (one way out)
            lines: list[dict[str, Any]] = [json.loads(line) for line in entry.split(b"\n") if line]
            if not _is_append(lines):
                return Commit(version, [], {})
            parts = [_read(files, line["add"]) for line in lines if line.get("add", {}).get("dataChange")]
        except FileNotFoundError as error:
            raise HistoryGone(f"{self.name}: version {version} can't be read any more") from error
        marks = {line["txn"]["appId"]: int(line["txn"]["version"]) for line in lines if "txn" in line}
        return Commit(version, self._whole([row for part in parts for row in part]), marks)

    def search(self, place: Callable[[str, str], int]) -> Iterator[list[Row]]:
        """Yield the rows beyond a place, a transaction version by node and lane, in each lane's order."""
        import pyarrow.dataset as ds

        data: Any = self._table.to_pyarrow_dataset()
        by = ["_node", "_lane"] if "_lane" in data.schema.names else ["_node"]
        found: Any = data.to_table(columns=by).group_by(by).aggregate([])
        lanes: list[Row] = found.to_pylist()
        for lane in sorted(lanes, key=lambda one: [str(one[name]) for name in by]):
            mine: Any = ds.field("_node") == lane["_node"]
            if len(by) == 2:
                named: Any = ds.field("_lane") == lane["_lane"]
                mine &= named if lane["_lane"] is not None else ds.field("_lane").is_null()
            after = place(lane["_node"], lane.get("_lane") or self.name)
            while rows := self._some(data, mine, after):
                yield rows
                after = version_of(rows[-1])

    def _some(self, data: Any, mine: Any, after: int) -> list[Row]:
        """Return the next rows of a lane, as many as may be held."""
        beyond = mine & _beyond(after)
        places: Any = data.to_table(columns=["_epoch", "_seq"], filter=beyond)
        if places.num_rows > SEARCHED:
            places = places.sort_by([("_epoch", "ascending"), ("_seq", "ascending")])
            last = places.slice(SEARCHED - 1, 1).to_pylist()[0]
            beyond &= ~_beyond(version_of(last))
        return self._whole(data.to_table(filter=beyond).to_pylist())

    def _whole(self, rows: list[Row]) -> list[Row]:
        """Return rows in order, with every column that the table has and their lane's name."""
        import pyarrow as pa

        nothing: Row = dict.fromkeys(pa.schema(self._table.schema().to_arrow()).names)
        whole = [{**nothing, **row, "_lane": row.get("_lane") or self.name} for row in rows]
        return sorted(whole, key=lambda row: tuple(row[name] for name in _ORDER))

    def _files(self) -> Any:
        import pyarrow.fs as pf
        from deltalake.fs import DeltaStorageHandler

        handle: Any = self._table
        try:
            return pf.PyFileSystem(
                DeltaStorageHandler.from_table(handle._table, handle._storage_options, None)
            )
        except DeltaError as error:
            raise HistoryGone(f"{self.name}: its files can't be reached") from error

    @property
    def _table(self) -> DeltaTable:
        assert self._handle is not None
        return self._handle


def version_of(row: Row) -> int:
    """Return a row's place in its lane, as a transaction version."""
    return transaction_version(row["_epoch"], row["_seq"])


def _beyond(place: int) -> Any:
    import pyarrow.dataset as ds

    counter, seq = split_version(place)
    return (ds.field("_epoch") > counter) | ((ds.field("_epoch") == counter) & (ds.field("_seq") > seq))


def _is_append(lines: list[dict[str, Any]]) -> bool:
    for line in lines:
        if "commitInfo" in line:
            return line["commitInfo"].get("operation") == "WRITE"
    return True


def _read(files: Any, added: dict[str, Any]) -> list[Row]:
    import pyarrow.parquet as pq

    with files.open_input_file(unquote(added["path"])) as file:
        rows: Any = pq.read_table(file)
    return [{**row, **added["partitionValues"]} for row in rows.to_pylist()]
