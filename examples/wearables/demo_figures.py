"""Reads what the demo shows and judges: figures of the devices, the node, the uplink and the lake."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from deltalake.exceptions import DeltaError
from msgspec import Struct

from rimward.console.ledger import read_ledger
from rimward.console.model import Balance
from rimward.devices.replay import Report
from rimward.observe import Histogram, Snapshot, read_snapshot

RECORDINGS = {"Daphnet": "daphnet-", "BasicMotions": "watch-"}  # by what their wearers' names begin with


class Times(Struct, frozen=True):
    """How long one stage takes."""

    count: int
    p50: float  # ns
    p99: float  # ns

    @classmethod
    def of(cls, histogram: Histogram) -> "Times":
        """Return a histogram's figures."""
        return cls(histogram.count, histogram.percentile(50), histogram.percentile(99))


class Look(Struct, frozen=True):
    """Everything at one moment."""

    snapshot: Snapshot | None
    stages: dict[str, Times]  # in the order in which an event passes them
    ledger: tuple[Balance, ...]

    @property
    def waiting(self) -> int:
        """Rows that the lake has not confirmed."""
        return sum(entry.waiting or 0 for entry in self.ledger)

    @property
    def rows(self) -> dict[str, int]:
        """Rows by table."""
        rows: dict[str, int] = {}
        for entry in self.ledger:
            rows[entry.fact] = rows.get(entry.fact, 0) + (entry.stored or 0)
        return rows


class Reader:
    """Looks at a data folder again and again; what an earlier run left there does not count as a stage."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._uplink, self._lake = Histogram(), Histogram()
        self._seen = 0  # when the newest envelope known was committed, wall ns
        self._ledger: tuple[Balance, ...] = ()
        for (committed,) in self._ask("select max(committed_at) from envelope"):
            self._seen = committed or 0

    def look(self) -> Look:
        """Read all figures; it counts the lake's rows, so it belongs in a thread."""
        snapshot = read_snapshot(self._data / "node" / "trace.db")
        self._count_envelopes()
        # While a table is being committed or made, the count before has to do.
        with suppress(OSError, ValueError, sqlite3.Error, DeltaError):
            self._ledger = read_ledger(self._data)
        link = {"uplink": Times.of(self._uplink), "lake": Times.of(self._lake)}
        return Look(snapshot, node_stages(snapshot) | link, self._ledger)

    def _count_envelopes(self) -> None:
        query = "select sealed_at, received_at, committed_at from envelope where committed_at > ?"
        for sealed, received, committed in self._ask(query, self._seen):
            self._seen = max(self._seen, committed)
            self._uplink.record(received - sealed)
            self._lake.record(committed - received)

    def _ask(self, query: str, *values: int) -> list[tuple[int, ...]]:
        path = self._data / "hub" / "hub.db"
        if not path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                return db.execute(query, values).fetchall()
        except sqlite3.OperationalError:  # the hub is making the file just now
            return []


def node_stages(snapshot: Snapshot | None) -> dict[str, Times]:
    """Return the node's stages, all functions together; commits are those of the outbox."""
    if snapshot is None:
        return {}
    stages: dict[str, Times] = {}
    for name in ("decode", "function"):
        merged = Histogram()
        for function in snapshot.functions.values():
            merged.merge(Histogram.from_sparse(function.stages.get(name, {})))
        stages[name] = Times.of(merged)
    outbox = snapshot.outbox
    p50, p99 = (outbox.get(f"commit_{p}_ms", 0.0) * 1e6 for p in ("p50", "p99"))
    return stages | {"commit": Times(int(outbox.get("commits", 0)), p50, p99)}


class Outcome(Struct, frozen=True):
    """What a whole run came to; counts are of this run alone."""

    devices: Report | None
    snapshot: Snapshot | None
    ledger: tuple[Balance, ...]
    rows_by_wearer: dict[str, int]  # of the table motion
    impacts: int  # rows of the table impact
    reports: tuple[str, ...]  # wearers that the cloud wrote a report for
    restarts: int = 0  # of Rimward's processes


def failures(outcome: Outcome) -> list[str]:
    """Return what did not work, in words; nothing where every stage did its work."""
    found = [
        *_devices(outcome.devices),
        *_node(outcome.snapshot),
        *_lake(outcome),
        *_ledger(outcome.ledger),
    ]
    if outcome.restarts:
        found.append(f"processes of Rimward had to be started again: {outcome.restarts} times")
    return found


def _devices(report: Report | None) -> Iterable[str]:
    if report is None:
        yield "the devices gave no report"
        return
    total = report.total
    if not total.sent:
        yield "the devices sent nothing"
    if total.acknowledged < total.sent:
        why = ", ".join(total.refused) or "no answer"
        yield f"{total.sent - total.acknowledged} of {total.sent} samples were not accepted: {why}"
    if not report.round_trip_us.count:
        yield "no action came back to the device that caused it"
    for device, why in report.failures.items():
        yield f"{device} gave up: {why}"


def _node(snapshot: Snapshot | None) -> Iterable[str]:
    if snapshot is None:
        yield "the node wrote no figures"
        return
    for name, function in snapshot.functions.items():
        if not function.calls:
            yield f"the function {name} never ran"
        if function.errors:
            yield f"the function {name} failed {function.errors} times"
    if not snapshot.functions:
        yield "no function ran on the node"
    if not snapshot.counters.get("actions"):
        yield "the node sent no action"


def _lake(outcome: Outcome) -> Iterable[str]:
    for recording, prefix in RECORDINGS.items():
        if not any(n for wearer, n in outcome.rows_by_wearer.items() if wearer.startswith(prefix)):
            yield f"the lake has no row from the recording {recording}"
    if not outcome.impacts:
        yield "the lake has no impact"
    missing = sorted(set(outcome.rows_by_wearer) - set(outcome.reports))
    if missing or not outcome.reports:
        yield f"the cloud wrote no report for {', '.join(missing) or 'anyone'}"


def _ledger(entries: tuple[Balance, ...]) -> Iterable[str]:
    if not entries:
        yield "the ledger is empty"
    for entry in entries:
        if entry.missing is None:
            yield f"the ledger of {entry.fact} can't be read"
        elif entry.missing:
            yield f"the ledger of {entry.fact} does not balance: {entry.missing} rows missing"
        if entry.waiting:
            yield f"{entry.waiting} rows of {entry.fact} still wait for the lake"
        if entry.dead_lettered:
            yield f"{entry.dead_lettered} rows of {entry.fact} could not be stored as sent"
