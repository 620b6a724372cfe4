"""The demo on real recordings: it ends by itself, and only well if every stage did work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_the_demo_brings_real_recordings_to_the_lake(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.wearables.demo", "--for", "12", "--data", str(tmp_path / "data")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = subprocess.run(
        [sys.executable, "-m", "rimward", "sql", "--json", "--data", str(tmp_path / "data"),
         "select wearer, count(*) as n from motion group by wearer"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    wearers = {json.loads(line)["wearer"] for line in rows.stdout.splitlines()}
    assert any(wearer.startswith("daphnet") for wearer in wearers)
    assert any(wearer.startswith("watch") for wearer in wearers)
