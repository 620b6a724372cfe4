# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""An app with one fact, rows of a node in its lake, and workers on them."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from rimward.app.loading import load
from rimward.cloud.functions.worker import Worker
from rimward.cloud.ingest.core import Envelope, Ingest
from rimward.wire import Epoch, Header, Lane, Row, transaction_version

HEAD = """\
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from rimward import App, Event, Lake, State, States

app = App("work", compat="2026-11-01")
LOG = Path(__file__).with_suffix(".log")


@app.fact
class Seen(Struct):
    n: int
    tags: list[str]
    parity: str


def note(text: object) -> None:
    with LOG.open("a") as log:
        log.write(f"{text}\\n")


"""


class Cloud:
    """A folder with an app, its lake and its hub.db."""

    def __init__(self, folder: Path, functions: str) -> None:
        self.folder, self.app = folder, folder / "app.py"
        self.app.write_text(HEAD + dedent(functions))
        self.facts = [fact.spec for fact in load(str(self.app)).facts.values()]
        self.ingest = self.opened()

    def opened(self) -> Ingest:
        return Ingest(self.folder / "lake", self.facts, lambda: 10**18)

    def rows(self, first: int, last: int, counter: int = 1, prior: tuple[int, int] | None = None) -> None:
        lane, header, rows = self._sent(first, last, counter, prior)
        assert self.ingest.take("seen", [Envelope(lane, header, msgspec.msgpack.encode(rows))]).stored == len(
            rows
        )

    def again(self, first: int, last: int) -> None:
        """Append rows with their lane's mark, as ingest does for a lake that was restored."""
        path = str(self.folder / "lake" / "seen")
        known: Any = DeltaTable(path).to_pyarrow_table()
        rows = [{**known.to_pylist()[0], "n": seq, "_seq": seq} for seq in range(first, last + 1)]
        mark = Transaction("n1:seen", transaction_version(1, last))
        write_deltalake(
            path,
            pa.Table.from_pylist(rows, schema=known.schema),
            mode="append",
            commit_properties=CommitProperties(app_transactions=[mark]),
        )

    def _sent(
        self, first: int, last: int, counter: int, prior: tuple[int, int] | None
    ) -> tuple[Lane, Header, list[Row]]:
        spec = self.facts[0]
        values = [(seq, ["a"], "odd" if seq % 2 else "even") for seq in range(first, last + 1)]
        rows = [
            Row(one[0], 10**18, "e", None, "synced", replayed=False, trace=None, values=one) for one in values
        ]
        before = (0, 0) if prior is None else (transaction_version(*prior), prior[0])
        header = Header(spec.fingerprint, "normal", first, last, 0, prior=before[0], prior_nonce=before[1])
        return Lane("n1", Epoch(counter, counter), "seen"), header, rows

    def worker(self, now: Callable[[], int] = time.time_ns, patience: float = 1.0) -> Worker:
        return Worker(load(str(self.app)), self.folder, None, now, patience=patience)

    def work(self) -> None:
        worker = self.worker(patience=0.0)
        try:
            worker.run_once()
        finally:
            worker.close()

    def log(self) -> list[str]:
        file = self.app.with_suffix(".log")
        return file.read_text().splitlines() if file.exists() else []

    def query(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "hub" / "hub.db")) as db:
            return db.execute(sql).fetchall()
