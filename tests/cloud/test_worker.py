"""Cloud functions on rows of a real table: each row once, in order; what raises is kept with its reason."""

import sqlite3
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import msgspec
import pytest

from rimward.app.loading import load
from rimward.cloud.ingest import Envelope, Ingest
from rimward.cloud.worker import Worker
from rimward.wire import Epoch, Header, Lane, Row, transaction_version

HEAD = """\
from pathlib import Path

from msgspec import Struct
from rimward import App, Lake

app = App("work", compat="2026-11-01")
LOG = Path(__file__).with_suffix(".log")


@app.fact
class Seen(Struct):
    n: int
    tags: list[str]


def note(text: object) -> None:
    with LOG.open("a") as log:
        log.write(f"{text}\\n")


"""


class Site:
    def __init__(self, folder: Path, functions: str) -> None:
        self.folder, self.app = folder, folder / "app.py"
        self.app.write_text(HEAD + dedent(functions))
        self.facts = [fact.spec for fact in load(str(self.app)).facts.values()]
        self.ingest = Ingest(folder / "lake", self.facts, lambda: 10**18)

    def rows(self, first: int, last: int, counter: int = 1, prior: tuple[int, int] | None = None) -> None:
        (spec,) = self.facts
        rows = [
            Row(seq, 10**18, "e", None, "synced", replayed=False, trace=None, values=(seq, ["a"]))
            for seq in range(first, last + 1)
        ]
        before = (0, 0) if prior is None else (transaction_version(*prior), prior[0])
        header = Header(spec.fingerprint, "normal", first, last, 0, prior=before[0], prior_nonce=before[1])
        lane = Lane("n1", Epoch(counter, counter), "seen")
        assert self.ingest.take("seen", [Envelope(lane, header, msgspec.msgpack.encode(rows))]).stored == len(
            rows
        )

    def work(self) -> None:
        Worker(load(str(self.app)), self.folder, None).run_once()

    def log(self) -> list[str]:
        file = self.app.with_suffix(".log")
        return file.read_text().splitlines() if file.exists() else []

    def query(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "hub" / "hub.db")) as db:
            return db.execute(sql).fetchall()


def test_each_row_is_worked_on_once_in_order_also_after_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path, """
        @app.cloud(Seen)
        def each(seen: Seen) -> None:
            note(f"{seen.n} {seen.tags}")
    """)  # fmt: skip
    site.work()
    site.rows(1, 3)
    site.work()
    site.work()
    site.rows(4, 5)
    site.rows(1, 2, counter=2, prior=(1, 5))
    site.work()
    assert site.log() == [f"{n} ['a']" for n in (1, 2, 3, 4, 5, 1, 2)]


def test_a_batch_function_gets_all_that_is_new_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path, """
        @app.cloud(Seen)
        def all_of_them(seen: list[Seen], lake: Lake) -> None:
            note(f"{[one.n for one in seen]} of {lake.table(Seen).num_rows}")
    """)  # fmt: skip
    site.rows(1, 3)
    site.work()
    site.rows(4, 5)
    site.work()
    assert site.log() == ["[1, 2, 3] of 3", "[4, 5] of 5"]


def test_a_function_that_raises_is_tried_again_and_then_its_row_is_kept_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rimward.cloud.worker.time.sleep", lambda _: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] (no type needed)
    site = Site(tmp_path, """
        @app.cloud(Seen)
        def fails(seen: Seen) -> None:
            note(seen.n)
            if seen.n == 2:
                raise ValueError("two")
        @app.cloud(Seen)
        def beside(seen: Seen) -> None:
            note(f"beside {seen.n}")
    """)  # fmt: skip
    site.rows(1, 3)
    site.work()
    assert site.log() == ["1", "2", "2", "2", "3", "beside 1", "beside 2", "beside 3"]
    assert site.query("select function, node, counter, seq, reason from dead_function") == [
        ("fails", "n1", 1, 2, "ValueError: two")
    ]


def test_a_function_killed_in_the_middle_goes_on_with_the_row_that_it_had(tmp_path: Path) -> None:
    site = Site(tmp_path, """
        @app.cloud(Seen)
        def each(seen: Seen) -> None:
            note(seen.n)
            if seen.n == 2 and LOG.read_text().count("2") == 1:
                raise KeyboardInterrupt
    """)  # fmt: skip
    site.rows(1, 3)
    with pytest.raises(KeyboardInterrupt):
        site.work()
    site.work()
    assert site.log() == ["1", "2", "2", "3"], "at least once"
