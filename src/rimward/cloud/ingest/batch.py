# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow ships partial types)
"""Rows on their way into one table: decoded straight into columns, row by row only where one does not fit."""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from rimward.app.manifest import Column
from rimward.cloud.ingest.forms import Form
from rimward.cloud.lake.tables import Kept, check_site, day_of
from rimward.wire import EnvelopeError, Header, Lane, Row, check_rows, transaction_id, transaction_version
from rimward.wire.erasing import ERASED

TRACE = 16  # bytes of a trace id
Span = tuple[int, int]  # the first and the last of rows that follow each other

_loose = msgspec.msgpack.Decoder(list[Row])
_UNFIT = (pa.ArrowException, OverflowError, TypeError, ValueError)  # what Arrow says of a value it can't take


class Forms(Protocol):
    """The forms of a fact's rows, by fingerprint."""

    def form(self, fact: str, fingerprint: str) -> Form | None:
        """Return one; None where it is not known."""
        ...

    def reason(self, fact: str, fingerprint: str) -> str:
        """Say why there is none."""
        ...


class Rules(Protocol):
    """Which rows are to be forgotten."""

    def takes(self, row: Row, columns: tuple[Column, ...] | None, /) -> bool:
        """Tell whether a row is; without columns any of its cells may be the one."""
        ...


class Batch:
    """What one commit brings to a table, and what of it goes aside."""

    def __init__(self, fact: str, schema: Any, forms: Forms, now: int, rules: Rules | None = None) -> None:
        """`schema` is the table's, None where there is none; `now` is wall ns."""
        self._rules = rules
        self._fact = fact
        self._schema = schema
        self._forms = forms
        self._now = now // 1000
        self._day = day_of(now)
        self._pieces: list[Any] = []  # record batches
        self.dead: list[Kept] = []
        self.lost: list[Kept] = []

    def add(self, lane: Lane, header: Header, data: bytes, spans: list[Span]) -> None:
        """Take those of an envelope's rows that lie in the spans.

        What is not exactly of the columns' types goes to the dead letters.
        """
        form = self._forms.form(self._fact, header.schema)
        try:
            check_site(header.site)
            if form is None:
                reason = self._forms.reason(self._fact, header.schema)
                rows = _within(self._read(header, data), spans)
                for row in self._spared(lane, header, None, rows):
                    self._bury(lane, header, row, reason)
                return
            self._add(lane, header, form, data, spans)
        except (EnvelopeError, ValueError, RecursionError, MemoryError) as error:
            self.bury_spans(lane, header, (str(error), data), spans)

    def _add(self, lane: Lane, header: Header, form: Form, data: bytes, spans: list[Span]) -> None:
        try:
            rows = form.rows(data)
        except ValueError:
            self._add_each(lane, header, form, _within(self._read(header, data), spans))
            return
        check_rows(header, [row.seq for row in rows])
        fitting = rows if spans == [(header.first, header.last)] else list(_within(rows, spans))
        if self._rules is not None:
            fitting = self._spared(lane, header, form, fitting)
        try:
            self._pieces.append(self._columns(lane, header, form, fitting))
        except _UNFIT:
            self._add_each(lane, header, form, _within(self._read(header, data), spans))

    def _add_each(self, lane: Lane, header: Header, form: Form, rows: Iterable[Row]) -> None:
        fitting: list[Row] = []
        for row in self._spared(lane, header, form, rows):
            try:
                fit = form.check(row)
                self._columns(lane, header, form, [fit])
            except _UNFIT as error:
                self._bury(lane, header, row, str(error))
            else:
                fitting.append(fit)
        if fitting:
            self._pieces.append(self._columns(lane, header, form, fitting))

    def _spared(self, lane: Lane, header: Header, form: Form | None, rows: Iterable[Row]) -> list[Row]:
        """Return rows without those that are erased: these have a place, and no more."""
        columns = None if form is None else form.columns
        spared, gone = list[Row](), list[Span]()
        for row in rows:
            if row.values and (self._rules is None or not self._rules.takes(row, columns)):
                spared.append(row)
            elif gone and gone[-1][1] == row.seq - 1:
                gone[-1] = gone[-1][0], row.seq
            else:
                gone.append((row.seq, row.seq))
        self.lose(lane, header, gone, ERASED)
        return spared

    @staticmethod
    def _read(header: Header, data: bytes) -> list[Row]:
        """Return rows with whatever values they have.

        Raises:
            ValueError: they are no rows.
            EnvelopeError: they are not those that the header names.
        """
        rows = _loose.decode(data)
        check_rows(header, [row.seq for row in rows])
        return rows

    def lose(self, lane: Lane, header: Header, spans: list[Span], reason: str) -> None:
        """Take rows as lost by their node."""
        for first, last in spans:
            row = (
                self._fact, first, last, last - first + 1, reason, self._now, header.site, lane.node,
                lane.epoch.counter, self._day, _lane_column(lane),
            )  # fmt: skip
            self.lost.append(_kept(lane, last, row))

    def bury_spans(self, lane: Lane, header: Header, why: tuple[str, bytes], spans: list[Span]) -> None:
        """Take rows as dead, span by span: their envelope can't be read."""
        reason, body = why
        for first, last in spans:
            system = (
                None, self._now, header.site, lane.node, lane.epoch.counter, last, None, None, None, None,
                self._day, None, _lane_column(lane),
            )  # fmt: skip
            row = (self._fact, header.schema, reason, body, last - first + 1, *system)
            self.dead.append(_kept(lane, last, row))

    def like(self) -> "Batch":
        """Return an empty one of the same table and moment."""
        made = Batch(self._fact, self._schema, self._forms, self._now * 1000, self._rules)
        made._day = self._day
        return made

    def join(self, other: "Batch") -> None:
        """Take the rows that another one has."""
        self._pieces += other._pieces

    def table(self) -> Any:
        """Return the rows that fit, as Arrow."""
        return pa.Table.from_batches(self._pieces, self._schema).combine_chunks()

    def _bury(self, lane: Lane, header: Header, row: Row, reason: str) -> None:
        system = (
            _micros(row.received if row.time is None else row.time), self._now, header.site, lane.node,
            lane.epoch.counter, row.seq, row.event, row.clock, row.replayed, _trace(row.trace), self._day,
            _fitting(row.mono), _lane_column(lane),
        )  # fmt: skip
        body = msgspec.msgpack.encode(row)
        self.dead.append(_kept(lane, row.seq, (self._fact, header.schema, reason, body, 1, *system)))

    def _columns(self, lane: Lane, header: Header, form: Form, rows: list[Row]) -> Any:
        """Return rows as columns of the table; those that their form does not have are null.

        It raises what Arrow raises where a value can't be had exactly.
        """
        cells = dict(zip((one.name for one in form.columns), _transposed(form, rows), strict=True))
        cells |= {
            "_time": _times(rows),
            "_seq": [row.seq for row in rows],
            "_event": [row.event for row in rows],
            "_clock": [row.clock for row in rows],
            "_replayed": [row.replayed for row in rows],
            "_trace": _traces(rows),
            "_mono": [row.mono for row in rows],
        }
        same = {
            "_received_at": self._now, "_site": header.site, "_node": lane.node,
            "_epoch": lane.epoch.counter, "_day": self._day, "_lane": _lane_column(lane),
        }  # fmt: skip
        arrays = [
            pa.array(cells[field.name], field.type)
            if field.name in cells
            else _repeated(same.get(field.name), len(rows), field.type)
            for field in self._schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def _times(rows: list[Row]) -> list[int | None]:
    """Return when events were, wall us: as they say, else as their node took them, where that is known."""
    times = [row.time for row in rows]
    if times.count(None) == len(times):
        times = [row.received for row in rows]
    elif None in times:
        times = [row.received if row.time is None else row.time for row in rows]
    return [None if time is None else time // 1000 for time in times]


def _traces(rows: list[Row]) -> list[str | None]:
    """Return trace ids as text.

    Raises:
        ValueError: one is of another length.
    """
    traces = [row.trace for row in rows]
    if not any(traces):
        return [None] * len(traces)
    for trace in traces:
        if trace and len(trace) != TRACE:
            raise ValueError(f"trace has {len(trace)} bytes, a trace id has {TRACE}")
    return [_hex(trace) for trace in traces]


def _transposed(form: Form, rows: list[Row]) -> Iterable[Any]:
    if not rows:
        return [()] * len(form.columns)
    return zip(*[row.values for row in rows], strict=True)


def _repeated(value: Any, times: int, type_: Any) -> Any:
    return pa.nulls(times, type_) if value is None else pa.repeat(pa.scalar(value, type_), times)


def _within(rows: list[Row], spans: list[Span]) -> Iterable[Row]:
    return (row for row in rows if any(first <= row.seq <= last for first, last in spans))


def _kept(lane: Lane, seq: int, row: tuple[Any, ...]) -> Kept:
    return Kept(transaction_id(lane.node, lane.fact), transaction_version(lane.epoch.counter, seq), row)


def _lane_column(lane: Lane) -> str | None:
    return None if lane.fact == lane.table else lane.fact


def _micros(ns: int | None) -> int | None:
    return None if ns is None else ns // 1000


def _hex(trace: bytes | None) -> str | None:
    return trace.hex() if trace else None


def _trace(trace: bytes | None) -> str | None:
    return _hex(trace) if trace and len(trace) == TRACE else None


def _fitting(mono: int | None) -> int | None:
    return mono if mono is None or -(1 << 63) <= mono < 1 << 63 else None
