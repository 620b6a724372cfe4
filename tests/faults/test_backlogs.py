# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow and deltalake ship partial types)
"""What is odd in the middle of a backlog holds nothing up, through the real outbox, uplink and ingest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from rimward import App
from rimward.app.manifest import FactSpec
from rimward.edge.outbox import Forward

from .model.cores import FACTS, TABLES, Cores, empty_lake
from .test_disks import messages

wider = App("model", compat="2026-11-01")


@wider.fact(priority="critical")
class Seen(Struct):
    """The first fact with a new column."""

    n: int
    note: str | None = None


@wider.fact(priority="bulk")
class Copy(Struct):
    """The second as it was."""

    n: int


@pytest.fixture
def cores(tmp_path: Path) -> Iterator[Cores]:
    cores = Cores(tmp_path / "run", empty_lake(tmp_path / "empty"), keeps=True)
    yield cores
    cores.close()


def row(cores: Cores, spec: FactSpec, *values: object) -> None:
    """Forward a row of a form of one's own."""
    forward = Forward(spec.table, spec.fingerprint, spec.priority, 1, "e", None, None, replayed=False,
                      values=values)  # fmt: skip
    cores.core.commit([forward], {}, [])


def read(cores: Cores, table: str) -> list[dict[str, Any]]:
    found: Any = cores.delta(table).to_pyarrow_table()
    return sorted(found.to_pylist(), key=lambda one: (one["_epoch"], one["_seq"]))


def test_poison_in_a_backlog_is_a_dead_letter_row_by_row_and_all_else_is_stored(cores: Cores) -> None:
    messages(cores, 4)
    row(cores, FACTS[0], "no number")
    messages(cores, 4)
    row(cores, FACTS[0], 1 << 63)
    cores.node_dies()
    messages(cores, 4)
    cores.settle()
    for table in TABLES:
        assert sorted(cores.rows(table)) == list(range(1, 13))
    assert [(dead["fact"], dead["_seq"]) for dead in read(cores, "_dead")] == [
        (TABLES[0], 5),
        (TABLES[0], 10),
    ]
    assert cores.lost() == dict.fromkeys(TABLES, 0)


def test_rows_of_a_newer_form_in_a_backlog_wait_for_their_hub_and_hold_up_nothing(cores: Cores) -> None:
    (newer,) = (spec for spec in wider.manifest().facts if spec.table == TABLES[0])
    messages(cores, 4)
    cores.node_dies()
    row(cores, newer, 101, "new")
    messages(cores, 4)  # another function is older yet
    cores.settle()
    assert sorted(cores.rows(TABLES[0])) == list(range(1, 9))
    assert [dead["_seq"] for dead in read(cores, "_dead")] == [1]
    row(cores, newer, 102, None)
    cores.app = wider
    cores.hub_dies()  # it comes up with the new app
    cores.settle()
    found = {one["n"]: one["note"] for one in read(cores, TABLES[0])}
    assert found == dict.fromkeys(range(1, 9)) | {101: "new", 102: None}
    assert read(cores, "_dead") == []
