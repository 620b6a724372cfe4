"""Reading what the other processes wrote; any part may be missing, stale or damaged."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from deltalake.exceptions import DeltaError

from rimward.cloud.ingest.figures import read_figures
from rimward.cloud.lake.storage import has_lake
from rimward.cloud.store import hub_status
from rimward.console.ledger import read_ledger
from rimward.console.model import Balance, Link, Process, Seen
from rimward.observe import read_snapshot, recent_traces
from rimward.observe.life import HUB, halted, ingest_sign, is_ingest, last_sign

TRACES = 12
LEDGER_EVERY = 1.0  # seconds between two counts of rows, or more:
LEDGER_SHARE = 20  # a count takes at most a twentieth of the time
T = TypeVar("T")


class Sources:
    """The data folder of one running Rimward."""

    def __init__(self, data: Path, now: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._data = data
        self._now = now  # wall ns
        self._monotonic = monotonic  # seconds
        self._ledger: tuple[Balance, ...] | None = None
        self._ledger_due = float("-inf")  # monotonic seconds

    def look(self, *, thorough: bool) -> Seen:
        """Read all parts; the ledger, which counts rows, only when `thorough`."""
        unreadable: list[str] = []
        traces = self._data / "node" / "trace.db"

        def part(name: str, read: Callable[[], T | None]) -> T | None:
            try:
                return read()
            except FileNotFoundError:
                return None
            except (OSError, ValueError, sqlite3.Error, DeltaError) as error:  # msgspec's are ValueErrors
                unreadable.append(f"{name} can't be read: {error}")
                return None

        started = self._monotonic()
        if thorough and started >= self._ledger_due:
            self._ledger = part("The ledger", self._read_ledger)
            took = self._monotonic() - started
            self._ledger_due = started + max(LEDGER_EVERY, LEDGER_SHARE * took)
        processes = part("The processes", self._read_processes)
        return Seen(
            at=self._now(),
            snapshot=part("The node's figures", lambda: read_snapshot(traces)),
            traces=tuple(part("Traces", lambda: recent_traces(traces, TRACES)) or ()),
            processes=processes,
            link=part("The uplink's figures", self._read_link),
            ledger=self._ledger,
            hub_at=last_sign(self._data / HUB),
            ingest_at={
                one.name: last_sign(self._data / ingest_sign(one.name))
                for one in processes or ()
                if is_ingest(one.name)
            },
            ingest=read_figures(self._data, [one.name for one in processes or ()]),
            hub_counts=part("The hub's own file", lambda: hub_status(self._data)) or {},
            unreadable=tuple(unreadable),
        )

    def _read_ledger(self) -> tuple[Balance, ...] | None:
        return read_ledger(self._data) if has_lake(self._data) else None

    def _read_processes(self) -> tuple[Process, ...]:
        text = (self._data / "run" / "processes.json").read_bytes()
        named = msgspec.json.decode(text, type=dict[str, _Process])
        return tuple(
            Process(
                name,
                one.pid,
                one.state,
                one.restarts,
                one.since,
                one.pid is not None and halted(one.pid),
                one.over,
            )
            for name, one in named.items()
        )

    def _read_link(self) -> Link:
        text = (self._data / "node" / "uplink.json").read_bytes()
        written = msgspec.json.decode(text, type=_Uplink)
        rtt = written.rtt_ms / 1e3 if written.connected and written.rtt_ms else None
        errors = ", ".join(sorted(written.errors))
        return Link(written.connected, written.at, rtt, errors, written.verdict, written.denied)


class _Process(msgspec.Struct):
    """A process as the supervisor writes it."""

    pid: int | None
    state: str
    restarts: int
    since: int | None  # wall ns
    over: str = ""


class _Uplink(msgspec.Struct):
    """The uplink's figures as the deep process writes them."""

    at: int  # wall ns
    connected: bool
    rtt_ms: float
    errors: dict[str, int]
    verdict: str = ""
    denied: str = ""
