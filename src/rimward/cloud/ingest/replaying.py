# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""Dead letters of the lake: what they are, and their second try after a fix.

A row that fits now is written to its table with `_replayed` true, unless it is there already, in a commit
with a transaction id of its own; then its dead letter is deleted. A crash in between is mended by the next
try, which finds the row. Two tries at once: the table's fence lets one through (docs/adr/0074).
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from deltalake.exceptions import CommitFailedError
from msgspec import Struct

from rimward.cloud.ingest.batch import Batch, Rules
from rimward.cloud.ingest.coverage import Coverage, without
from rimward.cloud.ingest.opened import OpenLake
from rimward.cloud.lake.small import is_empty
from rimward.cloud.lake.storage import Storage
from rimward.wire import EnvelopeError, Epoch, Header, Lane, Row, unseal

TRIES = 5  # while others commit
TOGETHER = 100  # dead letters in one delete
COLUMNS = ["fact", "schema", "reason", "body", "rows", "_node", "_site", "_epoch", "_seq", "_lane", "_day"]
NOT_KNOWN = ("schema ", "the app has no fact ")  # how reasons begin that a later deploy may end


class DeadRow(Struct, frozen=True):
    """One row that could not be stored, or `rows` of an envelope that can't be read; `seq` is the last."""

    fact: str
    schema: str
    reason: str
    body: bytes
    rows: int
    node: str
    site: str | None
    epoch: int
    seq: int
    lane: str
    day: str

    @property
    def id(self) -> str:
        """Its name for people: node, epoch, lane and number."""
        return f"{self.node}/{self.epoch}/{self.lane}/{self.seq}"


class Replayed(Struct):
    """What became of dead letters, in rows."""

    stored: int = 0
    there: int = 0  # they had been stored by a try that was cut
    dead: int = 0  # they do not fit yet


def dead_rows(lake: Storage, fact: str | None = None, node: str | None = None) -> list[DeadRow]:
    """Return dead letters, of one fact or node, by day, node and number.

    Raises:
        TableNotFoundError: there is no lake yet.
    """
    return read_dead(lake.open("_dead"), fact, node)


def read_dead(table: Any, fact: str | None = None, node: str | None = None) -> list[DeadRow]:
    """Return the dead letters of an open table."""
    if is_empty(table):
        return []
    import pyarrow.dataset as ds  # ingest's start goes without it where nothing is dead

    where = ds.scalar(value=True)
    if fact is not None:
        where &= ds.field("fact") == fact
    if node is not None:
        where &= ds.field("_node") == node
    known = {field.name for field in table.schema().fields}
    rows: Any = table.to_pyarrow_dataset().to_table(
        columns=[name for name in COLUMNS if name in known], filter=where
    )
    found = [
        DeadRow(
            row["fact"], row["schema"] or "", row["reason"], row["body"], row["rows"], row["_node"],
            row["_site"], row["_epoch"], row["_seq"], row.get("_lane") or row["fact"], row["_day"],
        )
        for row in rows.to_pylist()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.day, one.node, one.lane, one.epoch, one.seq))


def rows_of(dead: DeadRow) -> list[Row]:
    """Return the rows in a dead letter; none where it can't be read yet."""
    for read in (_one, _some, _envelope):
        try:
            return read(dead.body)
        except (ValueError, EnvelopeError):
            continue
    return []


def _one(body: bytes) -> list[Row]:
    return [msgspec.msgpack.decode(body, type=Row)]


def _some(body: bytes) -> list[Row]:
    return msgspec.msgpack.decode(body, type=list[Row])


def _envelope(body: bytes) -> list[Row]:
    return _some(unseal(body)[1])


def _no_rules(_fact: str) -> None:
    """Keep nothing out."""


class Replaying:
    """Gives dead letters their second try."""

    def __init__(
        self, lake: OpenLake, now: Callable[[], int], rules: Callable[[str], Rules | None] = _no_rules
    ) -> None:
        """`now` is the wall clock, ns; `rules` keep rows of a fact out that are erased."""
        self._rules = rules
        self._lake = lake
        self._now = now

    def known(self) -> Replayed:
        """Try what was dead because the hub did not know its fact or schema, and does now."""
        lake, total = self._lake, Replayed()
        if is_empty(lake.tables["_dead"].handle):
            return total
        pairs: Any = lake.tables["_dead"].handle.to_pyarrow_dataset().to_table(columns=["fact", "schema"])
        found = {
            (one["fact"], one["schema"])
            for one in pairs.group_by(["fact", "schema"]).aggregate([]).to_pylist()
        }
        for fact in sorted({fact for fact, schema in found if lake.schemas.form(fact, schema or "")}):
            done = self.fact(fact, lambda one: one.reason.startswith(NOT_KNOWN))
            total = Replayed(total.stored + done.stored, total.there + done.there, total.dead + done.dead)
        return total

    def fact(self, fact: str, wanted: Callable[[DeadRow], bool] = lambda _: True) -> Replayed:
        """Try one fact's dead letters.

        Raises:
            CommitFailedError: others committed each time.
        """
        for attempt in range(TRIES):
            try:
                return self._fact(fact, wanted)
            except CommitFailedError:
                if attempt == TRIES - 1:
                    raise
                self._lake.open()
        raise AssertionError

    def _fact(self, fact: str, wanted: Callable[[DeadRow], bool]) -> Replayed:
        lake = self._lake
        found = [one for one in read_dead(lake.tables["_dead"].handle, fact, None) if wanted(one)]
        if fact not in lake.facts or not found:
            return Replayed(dead=sum(one.rows for one in found))
        stored = Coverage(fact, lake.tables[fact].handle, {})
        batch = Batch(fact, lake.schema_of[fact], lake.schemas, self._now(), self._rules(fact))
        done, result = list[DeadRow](), Replayed()
        for dead in found:
            fate = self._try(dead, stored, batch)
            setattr(result, fate, getattr(result, fate) + dead.rows)
            if fate != "dead":
                done.append(dead)
        rows = batch.table()
        if rows.num_rows:
            mark = lake.tables[fact].mark(f"replay:{fact}")
            lake.tables[fact].write(rows, {f"replay:{fact}": mark + 1})
        self._delete(done)
        return result

    def _try(self, dead: DeadRow, stored: Coverage, batch: Batch) -> str:
        """Add a dead letter's rows; return "stored", "there" or, where one does not fit, "dead"."""
        rows = rows_of(dead)
        first = dead.seq - dead.rows + 1
        if [row.seq for row in rows] != list(range(first, dead.seq + 1)):
            return "dead"
        spans = without(first, dead.seq, stored.spans(dead.node, dead.lane, dead.epoch))
        if not spans:
            return "there"
        for row in rows:
            row.replayed = True
        lane = Lane(dead.node, Epoch(dead.epoch, 0), dead.lane)
        header = Header(dead.schema, "", first, dead.seq, 0, dead.site or "")
        trial = batch.like()
        trial.add(lane, header, msgspec.msgpack.encode(rows), spans)
        if trial.dead or trial.lost:  # the latter: it is to be erased, and by whoever does that
            return "dead"
        batch.join(trial)
        return "stored"

    def _delete(self, done: list[DeadRow]) -> None:
        for start in range(0, len(done), TOGETHER):
            self._lake.tables["_dead"].delete(predicate_of(done[start : start + TOGETHER]))


def predicate_of(rows: Iterable[DeadRow]) -> str:
    """Return what selects dead letters."""
    return " or ".join(
        f"(_day = {_text(one.day)} and fact = {_text(one.fact)} and _node = {_text(one.node)} and "
        f"_epoch = {one.epoch} and _seq = {one.seq} and coalesce(_lane, fact) = {_text(one.lane)})"
        for one in rows
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
