# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""`python -m rimward.cloud.worker APP DATA`: runs cloud functions on committed rows, at least once.

A process of its own: the hub never imports the app. A line on standard input says that there may be rows;
its end says that the hub is gone.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.dataset as ds
from deltalake.exceptions import TableNotFoundError
from msgspec import Struct

from rimward.app import App
from rimward.app.facts import Fact
from rimward.app.functions import CloudFunction
from rimward.app.loading import load
from rimward.app.settings import settings_of
from rimward.cloud.calling import Given, call
from rimward.cloud.lake import LocalLake
from rimward.cloud.storage import lake_of
from rimward.cloud.store import connect
from rimward.cloud.tables import SYSTEM
from rimward.observe import Logger, configure, get_logger
from rimward.wire import split_version, transaction_id, transaction_version

log: Logger = get_logger("rimward.worker")

TRIES = 3
ROWS = 5_000  # of one call in batch form


class Clock(Struct, frozen=True):
    """Where a worker's time comes from."""

    now: Callable[[], int]  # wall ns
    pause: Callable[[float], None]  # waits that many seconds


SYSTEM_CLOCK = Clock(time.time_ns, time.sleep)


class Worker:
    """The app's cloud functions and how far each has come."""

    def __init__(
        self,
        app: App,
        data: Path,
        settings: Struct | None,
        clock: Clock = SYSTEM_CLOCK,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        """`on_error` hears of what a function raised for the last time, before it is a dead letter."""
        self._functions = app.cloud_functions
        self._facts = app.facts
        self._settings = settings
        self._clock = clock
        self._on_error = on_error
        self._lake = lake_of(data)
        self._db = connect(data / "hub" / "hub.db")
        self._rename()

    def run_once(self) -> None:
        """Run every function on the rows that it has not had."""
        for function in self._functions:
            table = function.fact.spec.table
            try:
                handle = self._lake.open(table)
            except TableNotFoundError:
                continue
            dataset: Any = handle.to_pyarrow_dataset()
            nodes: Any = dataset.to_table(columns=["_node"]).column("_node").unique().to_pylist()
            for node in nodes:
                reached = handle.transaction_version(transaction_id(node, table)) or 0
                position = self._position(function.name, node)
                if reached > position:
                    self._catch_up(function, dataset, node, position)

    def _position(self, function: str, node: str) -> int:
        row = self._db.execute(
            "select version from position where function = ? and node = ?", (function, node)
        ).fetchone()
        return row[0] if row else 0

    def _rename(self) -> None:
        """Let renamed functions go on where they were under their old names."""
        for function in self._functions:
            if function.was is not None:
                self._db.execute(
                    "update or ignore position set function = ? where function = ?",
                    (function.name, function.was),
                )

    def _catch_up(self, function: CloudFunction, dataset: Any, node: str, position: int) -> None:
        counter, seq = split_version(position)
        later = (ds.field("_epoch") > counter) | ((ds.field("_epoch") == counter) & (ds.field("_seq") > seq))
        table: Any = dataset.to_table(filter=(ds.field("_node") == node) & later)
        rows: Any = table.sort_by([("_epoch", "ascending"), ("_seq", "ascending")]).to_pylist()
        size = ROWS if function.batch else 1
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            self._call(function, node, part)
            last = transaction_version(part[-1]["_epoch"], part[-1]["_seq"])
            self._db.execute("insert or replace into position values (?, ?, ?)", (function.name, node, last))

    def _call(self, function: CloudFunction, node: str, rows: list[dict[str, Any]]) -> None:
        for attempt in range(TRIES):
            try:
                facts = [fact_of(function.fact, row) for row in rows]
                payload = facts if function.batch else facts[0]
                lake = LocalLake(self._lake, self._clock.now(), self._facts)
                call(function, payload, rows[0], Given(lake, self._settings))
            except Exception as error:  # noqa: BLE001 (a user's function may raise anything)
                log.warning("a cloud function raised", function=function.name, error=type(error).__name__)
                if attempt == TRIES - 1:
                    self._bury(function, node, rows, error)
                self._clock.pause(0.1 * 2**attempt)
            else:
                return

    def _bury(self, function: CloudFunction, node: str, rows: list[dict[str, Any]], error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(error)
        reason = f"{type(error).__name__}: {error}"
        for row in rows:
            self._db.execute(
                "insert into dead_function (at, function, node, counter, seq, reason) "
                "values (?, ?, ?, ?, ?, ?)",
                (self._clock.now(), function.name, node, row["_epoch"], row["_seq"], reason),
            )


_SYSTEM_NAMES = {name for name, _ in SYSTEM}


def fact_of(fact: Fact, row: dict[str, Any]) -> Any:
    """Return a table's row as the fact that it was."""
    values = {name: value for name, value in row.items() if name not in _SYSTEM_NAMES}
    for column in fact.spec.columns:
        if column.type == "json" and values[column.name] is not None:
            values[column.name] = msgspec.json.decode(values[column.name])
    return msgspec.convert(values, fact.struct)


def read_settings(app: App) -> Struct | None:
    """Return the app's own settings, from the environment and the file that RIMWARD_CONFIG names."""
    file = os.environ.get("RIMWARD_CONFIG")
    return settings_of(app, Path(file).read_bytes() if file else None, os.environ)


def main() -> int:
    """Work until standard input ends."""
    configure("worker")
    app = load(sys.argv[1])
    worker = Worker(app, Path(sys.argv[2]), read_settings(app))
    while os.read(0, 4096):
        worker.run_once()
    return 0


if __name__ == "__main__":
    sys.exit(main())
