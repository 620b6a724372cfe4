"""The contract under two type checkers, both strict: what is right passes, what is wrong is marked."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RIGHT = [*sorted(ROOT.glob("examples/*/app.py")), HERE / "usage.py", HERE / "usage_testing.py"]
WRONG = HERE / "mistakes.py"
CHECKERS = ["basedpyright", "mypy"]


def errors_of(checker: str, tmp_path: Path, files: list[Path]) -> list[tuple[str, int, str]]:
    """Return (file, line, message) of each error that a checker reports."""
    if checker == "mypy":
        command = [
            "-m",
            "mypy",
            "--strict",
            "--no-error-summary",
            "--hide-error-context",
            "--no-color-output",
        ]
        command += ["--cache-dir", str(tmp_path), "--python-version", "3.11", "--no-pretty"]
        command.append("--explicit-package-bases")  # each example has an app.py
        out = run([*command, *map(str, files)])
        found = re.findall(r"^(.+?):(\d+): error: (.*)$", out, re.MULTILINE)
        return [(Path(file).name, int(line), message) for file, line, message in found]
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": [str(file) for file in files],
                "typeCheckingMode": "strict",
                "pythonVersion": "3.11",
                "reportUnusedFunction": False,
            }
        )
    )
    report: Any = json.loads(run(["-m", "basedpyright", "--outputjson", "-p", str(settings)]))
    return [
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["message"])
        for one in report["generalDiagnostics"]
        if one["severity"] == "error"
    ]


def run(command: list[str]) -> str:
    """Run a checker of this interpreter; what it has to say is on stdout."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_examples_and_every_use_of_the_contract_check_strictly(checker: str, tmp_path: Path) -> None:
    assert errors_of(checker, tmp_path, RIGHT) == []


@pytest.mark.parametrize("checker", CHECKERS)
def test_each_mistake_is_marked_on_its_line_and_nothing_else_is(checker: str, tmp_path: Path) -> None:
    lines = WRONG.read_text().splitlines()
    wanted = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    found = errors_of(checker, tmp_path, [WRONG])
    assert {line for _, line, _ in found} == wanted, found


def test_every_type_that_a_user_may_meet_is_known() -> None:
    report: Any = json.loads(
        run(["-m", "basedpyright", "--verifytypes", "rimward", "--ignoreexternal", "--outputjson"])
    )
    symbols = report["typeCompleteness"]["symbols"]
    exported = [one for one in symbols if one["isExported"]]
    assert len(exported) > 4000
    assert [one["name"] for one in exported if not one["isTypeKnown"] or one["isTypeAmbiguous"]] == []
