# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (deltalake and duckdb ship partial types)
"""Which rows of which lanes are accounted for: stored, dead, lost, or expired, read from the tables.

Asked only after a restore: until a lane has passed what it once had, its rows are looked for here before they
are taken, so that what is there is neither doubled nor called lost.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from rimward.cloud.lake.expiring import CAUSES, end_of, gone
from rimward.wire import Place

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Span = tuple[int, int]
Lanes = dict[tuple[str, str], dict[int, list[Span]]]  # by (node, lane) and counter; sorted, apart

_ISLANDS = """
select _node, coalesce(_lane, $fact) as lane, _epoch, min(_seq) as first, max(_seq) as last
from (
  select _node, _lane, _epoch, _seq,
    _seq - row_number() over (partition by _node, _lane, _epoch order by _seq) as island
  from (select distinct _node, _lane, _epoch, _seq from rows)
) group by _node, lane, _epoch, island
"""


class Coverage:
    """The rows of one fact that are accounted for, as spans."""

    def __init__(self, fact: str, table: DeltaTable | None, sides: Mapping[str, DeltaTable]) -> None:
        """`table` is the fact's, None where there is none; `sides` may be `_dead` and `_gap`."""
        self.lanes: Lanes = {}
        self._table = table
        self._ended: set[tuple[str, str]] = set()  # lanes of which it was looked up what has expired
        self._floors: dict[tuple[str, str], int] = {}  # the counter of the first row that did not expire
        if table is not None:
            self._add(_islands(fact, table))
            self._add_expired(fact, table)
        for name, side in sides.items():
            self._add(_side(fact, name, side))
        for epochs in self.lanes.values():
            for counter, spans in epochs.items():
                epochs[counter] = merged(spans)

    def _add(self, found: Iterable[tuple[str, str, int, Span]]) -> None:
        for node, lane, counter, span in found:
            self.lanes.setdefault((node, lane), {}).setdefault(counter, []).append(span)

    def _add_expired(self, fact: str, table: DeltaTable) -> None:
        """Count what lies before a lane's first stored row as expired, where rows of its node have expired.

        Retention takes the oldest rows, and writes down how many; where nothing is stored, nothing is known.
        """
        for (node, lane), epochs in self.lanes.items():
            counter = min(epochs)
            first = min(begin for begin, _ in epochs[counter])
            if any(gone(table, cause, node, fact) for cause in CAUSES):
                self._floors[node, lane] = counter
                if first > 1:
                    epochs[counter].append((1, first - 1))

    def epochs(self, node: str, lane: str) -> dict[int, list[Span]]:
        """Return what is accounted for of a lane, by counter.

        Rows up to the newest that has expired are: the lane's mark was past them when they went. It is
        looked up lane by lane, since a lane whose rows have all gone is in no table.
        """
        key = (node, lane)
        if key not in self._ended:
            self._ended.add(key)
            end = (0, 0) if self._table is None else end_of(self._table, node, lane)
            if end > (0, 0):
                epochs = self.lanes.setdefault(key, {})
                epochs[end[0]] = merged([*epochs.get(end[0], []), (1, end[1])])
                self._floors[key] = max(self._floors.get(key, 0), end[0])
        return self.lanes.get(key, {})

    def spans(self, node: str, lane: str, counter: int) -> list[Span]:
        """Return what is accounted for of one epoch."""
        return self.epochs(node, lane).get(counter, [])

    def top(self, node: str, lane: str) -> Place:
        """Return the last row that is accounted for."""
        epochs = self.epochs(node, lane)
        return max(((counter, spans[-1][1]) for counter, spans in epochs.items()), default=(0, 0))

    def reached(self, node: str, lane: str, priors: Mapping[int, Place]) -> Place:
        """Return the last row up to which nothing is missing.

        `priors` says for counters where the lane was before; where that is not known, it ends.
        """
        place: Place = (0, 0)
        epochs = self.epochs(node, lane)
        floor = self._floors.get((node, lane), 0)
        for counter, spans in sorted(epochs.items()):
            if counter < floor:
                continue
            before = None if counter == floor else priors.get(counter)
            if spans[0][0] != 1 or (place != (0, 0) and (before is None or before > place)):
                break
            if place == (0, 0) and before is not None:
                break  # the epoch before is gone as a whole
            place = (counter, spans[0][1])
            if len(spans) > 1:
                break
        return place


def _islands(fact: str, table: DeltaTable) -> Iterable[tuple[str, str, int, Span]]:
    with _connected() as db:
        db.register("rows", table.to_pyarrow_dataset())
        for node, lane, counter, first, last in db.execute(_ISLANDS, {"fact": fact}).fetchall():
            yield node, lane, counter, (first, last)


def _side(fact: str, name: str, table: DeltaTable) -> Iterable[tuple[str, str, int, Span]]:
    ends = "_seq - rows + 1, _seq" if name == "_dead" else "first, last"
    question = f"select _node, coalesce(_lane, fact), _epoch, {ends} from side where fact = $fact"  # noqa: S608 (its parts are ours)
    with _connected() as db:
        db.register("side", table.to_pyarrow_dataset())
        for node, lane, counter, first, last in db.execute(question, {"fact": fact}).fetchall():
            yield node, lane, counter, (first, last)


def _connected() -> "DuckDBPyConnection":
    import duckdb  # a quarter of the start of whoever imports this, and asked after a restore alone

    return duckdb.connect(":memory:")


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans sorted, those that touch as one."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def without(first: int, last: int, spans: Iterable[Span]) -> list[Span]:
    """Return what of `first` to `last` lies in none of the spans."""
    left: list[Span] = []
    for begin, end in spans:
        if end < first or begin > last:
            continue
        if begin > first:
            left.append((first, begin - 1))
        first = end + 1
    if first <= last:
        left.append((first, last))
    return left
