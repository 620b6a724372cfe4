"""One cloud function on its way through a table: in each key's order, with retries, group by group."""

from collections.abc import Callable, Iterator

from rimward.app.functions import CloudFunction
from rimward.cloud.functions.calling import Ground, key_text
from rimward.cloud.functions.changes import Changes, Commit, HistoryGone, Row, version_of
from rimward.cloud.functions.journal import Offset
from rimward.cloud.functions.working import Tempo, Working
from rimward.observe import Logger, get_logger
from rimward.wire import transaction_id

log: Logger = get_logger("rimward.worker")

ROWS = 5_000  # of one call in batch form
PARKED = 10_000  # events of one function that may wait for another try; it takes no new ones meanwhile


class Running(Working):
    """One function and how far it has come in its table."""

    def __init__(
        self,
        function: CloudFunction,
        changes: Changes,
        ground: Ground,
        tempo: Tempo,
        on_error: Callable[[Exception], None] | None,
    ) -> None:
        super().__init__(function, ground, tempo, on_error)
        self._function = function
        self._changes = changes

    # -- new rows

    def _advance(self) -> None:
        if not self._changes.look():
            return
        start = self._offset or Offset(self._changes.id, 0)
        if start.table != self._changes.id or start.version > self._changes.version + 1:
            self._search()
            return
        try:
            for version in range(start.version, self._changes.version + 1):
                part = start.part if version == start.version else 0
                if not self._take(self._changes.commit(version), part):
                    return
        except HistoryGone:
            self._search()

    def _take(self, commit: Commit, part: int) -> bool:
        """Run on a commit's rows after the first few; False where too many events wait."""
        table, rows = self._changes.id, commit.rows
        for first, last in self._pieces(rows, part):
            if sum(self._waiting.values()) >= PARKED:
                log.warning("a cloud function takes nothing new: too many events wait", function=self.name)
                return False
            fresh = [row for row in rows[first:last] if not self._had(row, commit.marks)]
            if fresh:
                self._work(fresh)
            self._unit.after = Offset(table, commit.version, last)
            self._settle()
        self._unit.after = Offset(table, commit.version + 1)
        return True

    def _pieces(self, rows: list[Row], part: int) -> Iterator[tuple[int, int]]:
        """Yield where each call's rows begin and end: one row, or in batch form those of one key."""
        first = part
        while first < len(rows):
            last = first + 1
            if self._function.batch:
                key = self._key(rows[first])
                while last < min(len(rows), first + ROWS) and self._key(rows[last]) == key:
                    last += 1
            yield first, last
            first = last

    def _had(self, row: Row, marks: dict[str, int]) -> bool:
        """Tell whether a row came before: a lake that was restored gets its rows again.

        A repaired row comes late, in a commit without its lane's mark: it is new wherever the lane is.
        """
        if transaction_id(row["_node"], row["_lane"]) not in marks:
            return False
        return version_of(row) <= self._place(row["_node"], row["_lane"])

    def _search(self) -> None:
        """Look for rows beyond each lane's place in the whole table, and go on by commits from there."""
        log.info("a cloud function searches its table", function=self.name, table=self._changes.name)
        table, version = self._changes.id, self._changes.version
        for rows in self._changes.search(self._place):
            for first, last in self._pieces(rows, 0):
                if sum(self._waiting.values()) >= PARKED:
                    return
                self._work(rows[first:last])
                self._settle()
        self._unit.after = Offset(table, version + 1)

    def _place(self, node: str, lane: str) -> int:
        found = self._unit.places.get((node, lane))
        return self._places.get((node, lane), 0) if found is None else found

    def _key(self, row: Row) -> str:
        """Return what a row is ordered by."""
        key = self._function.options.key
        return row["_node"] if key is None else key_text(row[key])

    # -- calls

    def _work(self, rows: list[Row]) -> None:
        """Run on rows of one key, or let them wait behind one that failed."""
        key = self._key(rows[0])
        if self._waiting.get(key):
            self._park(key, [(row, 0, 0, None) for row in rows])
        elif (error := self._call(rows)) is not None:
            self._fail(key, rows, error)
        for row in rows:
            place = (row["_node"], row["_lane"])
            self._unit.places[place] = max(version_of(row), self._place(*place))
