"""Every form that a fact has had is known: what is new is taken, what changed its type is refused."""

from pathlib import Path

import pytest

from rimward.app.manifest import Column, FactSpec
from rimward.cloud.ingest.schemas import SchemaChanged, judge_against
from rimward.cloud.lake.storage import Folder

from .cloud_support import WARM, envelope, ingest, table

WIDER = FactSpec("Warm", "warm", "normal", None, (*WARM.columns, Column("at", "float64")), "print-3")
OTHER = FactSpec("Warm", "warm", "normal", None, (Column("n", "float64"),), "print-4")


def test_rows_of_an_older_form_are_taken_and_what_they_lack_is_null(tmp_path: Path) -> None:
    ingest(tmp_path, WARM).take("warm", [envelope(1, 1)])
    one = ingest(tmp_path, WIDER)
    outcome = one.take("warm", [envelope(2, 2), envelope(3, 3, fact=WIDER, values=("y", 1.5))])
    assert (outcome.stored, outcome.dead) == (2, 0)
    assert [(row["n"], row["note"], row["at"]) for row in table(tmp_path)] == [
        (1, "x", None), (2, "x", None), (3, "y", 1.5)
    ]  # fmt: skip


def test_rows_of_a_form_before_a_column_was_taken_away_keep_it(tmp_path: Path) -> None:
    ingest(tmp_path, WIDER)
    outcome = ingest(tmp_path, WARM).take("warm", [envelope(1, 1, fact=WIDER, values=("y", 1.5))])
    assert outcome.stored == 1
    assert table(tmp_path)[0]["at"] == 1.5


def test_a_changed_type_is_refused_with_fact_column_both_types_and_the_way_out(tmp_path: Path) -> None:
    judge_against(Folder(tmp_path / "lake"), [OTHER])
    ingest(tmp_path, WARM)
    ingest(tmp_path, WIDER)
    said = "fact Warm: column n was int64 and is float64 now.*name a new fact.*was="
    with pytest.raises(SchemaChanged, match=said):
        ingest(tmp_path, OTHER)
    with pytest.raises(SchemaChanged, match=said):
        judge_against(Folder(tmp_path / "lake"), [OTHER])
    assert ingest(tmp_path, WIDER).take("warm", [envelope(1, 1)]).stored == 1, "nothing of it was remembered"
