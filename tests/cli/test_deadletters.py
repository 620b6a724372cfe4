"""`rimward deadletters`: what could not be stored, shown and tried again, whether a hub runs or not."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.cloud_support import COLD, NOW, WARM, envelope, ingest, places, row

from rimward.app.manifest import FactSpec, Manifest, encode
from rimward.cli import main
from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import DeadLetter, OutboxCore
from rimward.local.folder import DataFolder

ID = "n1/1/warm/2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder whose lake has a row that does not fit, and two of a fact that no app had."""
    ingest(tmp_path, WARM).take("warm", [envelope(1, 3, instead={2: row(2, "bad", "x")})])
    ingest(tmp_path, WARM).take("cold", [envelope(1, 2, node="n2", fact=COLD)])
    return tmp_path


def deploy(folder: Path, *facts: FactSpec) -> None:
    data = DataFolder(folder)
    data.prepare()
    data.write(data.manifest, encode(Manifest("a", "", "", "", facts, ())))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["deadletters", *words]) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def test_they_are_listed_shown_and_tried_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deploy(folder, WARM)
    data = ("--data", str(folder))
    found: list[dict[str, Any]] = [
        json.loads(line) for line in said(capsys, "list", "--json", *data).splitlines()
    ]
    assert [(one["id"], one["fact"], one["rows"]) for one in found] == [
        (ID, "warm", 1), ("n2/1/cold/1", "cold", 1), ("n2/1/cold/2", "cold", 1)
    ]  # fmt: skip
    assert ID not in said(capsys, "list", "--node", "n2", *data)
    shown = json.loads(said(capsys, "show", ID, *data))
    assert (shown["rows"], "int" in shown["reason"]) == (
        [{"seq": 2, "event": "e-2", "values": ["bad", "x"]}],
        True,
    )
    assert "there is no dead letter n9/1/warm/1" in said(capsys, "show", "n9/1/warm/1", *data, code=1)
    assert "the app has no fact cold" in said(capsys, "replay", "--fact", "cold", *data, code=1)
    deploy(folder, WARM, COLD)
    assert main(["deadletters", "replay", *data]) == 1, "a row is left"
    assert capsys.readouterr().out == (
        "warm: 0 stored, 0 were there, 1 do not fit\ncold: 2 stored, 0 were there, 0 do not fit\n"
        "1 row is left as dead letters: list says why each does not fit\n"
    )
    assert main(["deadletters", "replay", "--fact", "cold", *data]) == 0
    capsys.readouterr()
    assert places(folder, "cold") == [("n2", 1, 1), ("n2", 1, 2)]
    assert len(said(capsys, "list", "--json", *data).splitlines()) == 1


def test_a_folder_without_a_lake_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DataFolder(tmp_path).prepare()
    assert said(capsys, "list", "--json", "--data", str(tmp_path)) == ""
    assert "has no app's manifest" in said(capsys, "replay", "--data", str(tmp_path), code=1)


def test_a_nodes_own_are_listed_too_and_those_of_another_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DataFolder(tmp_path).prepare()
    (tmp_path / "node").mkdir()
    outbox = OutboxCore(tmp_path / "node" / "outbox.db", lambda: NOW, OutboxConfig())
    outbox.commit([], {}, [DeadLetter(NOW, "failed", "ValueError: no", "mqtt", "a/b", "dev-1", "heat", b"!")])
    outbox.close()
    data = ("--data", str(tmp_path))
    (line,) = said(capsys, "list", "--json", *data).splitlines()
    assert json.loads(line)["reason"] == "failed: ValueError: no"
    assert "node-1/1" in said(capsys, "list", *data)
    assert json.loads(said(capsys, "show", "node-1/1", *data))["payload"] == "21"
    assert said(capsys, "list", "--json", "--node", "n2", *data) == ""
