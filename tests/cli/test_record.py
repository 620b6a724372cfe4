"""`rimward record` and `rimward replay`, as a person uses them on a running dev."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.running import Dev, until

from .commands import command, lines

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_what_a_node_meets_is_recorded_and_given_to_other_code(
    dev: Dev, beside: Path, tmp_path: Path
) -> None:
    target = tmp_path / "air.jsonl"
    words = [sys.executable, "-m", "rimward", "record", str(target), "--for", "30s", "--json"]
    with subprocess.Popen(
        [*words, "--max-bytes", "16KiB"], cwd=beside, stdout=subprocess.PIPE, text=True
    ) as recording:
        until(lambda: "on: " in command("status", at=beside).stdout, "the node says that it is recorded")
        for celsius in (1, 3):
            payload = f'{{"celsius": {celsius}}}'
            command("send", "mqtt", "houses/1/air", payload, "--count", "60", at=beside)
        told = recording.communicate(timeout=60)[0]
    assert recording.returncode == 0
    assert '"why":"bytes"' in told
    assert target.stat().st_size <= 16 << 10
    app = beside / "app.py"
    same = command("replay", str(target), "--app", str(app), at=tmp_path)
    assert "no difference" in same.stdout, same.stdout + same.stderr
    (tmp_path / "other.py").write_text(app.read_text().replace("< 2.0", "< -90.0"))
    other = command("replay", str(target), "--app", "other.py", "--json", at=tmp_path)
    assert other.returncode == 1
    *differences, summed = lines(other)
    assert summed["differences"] == len(differences) > 0
    kinds = {effect["kind"] for one in differences for effect in one["gone"]}
    assert kinds == {"action", "fact"}
    assert not any(one["new"] for one in differences)


def test_what_can_not_be_recorded_or_replayed_is_said_with_what_to_do(tmp_path: Path) -> None:
    none = command("record", at=tmp_path)
    assert none.returncode == 1
    assert "start rimward dev app.py" in none.stderr
    wrong = command("record", "--max-bytes", "much", at=tmp_path)
    assert wrong.returncode == 2
    assert "'much' is no size, as 64MiB is" in wrong.stderr
    (tmp_path / "app.py").write_text('from rimward import App\napp = App("a", compat="2026-11-01")\n')
    there = command("replay", "nothing.jsonl", "--app", "app.py", at=tmp_path)
    assert (there.returncode, "name what rimward record made" in there.stderr) == (1, True)
    (tmp_path / "no.jsonl").write_text("{}\n")
    no = command("replay", "no.jsonl", "--app", "app.py", at=tmp_path)
    assert (no.returncode, "line 1 is none of a recording" in no.stderr) == (1, True)
