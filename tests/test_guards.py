"""The guards of this repository catch what they are for: each is shown a mistake of its kind."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LEAKS = {
    "task": "async def test_it():\n    global kept\n    kept = asyncio.create_task(asyncio.Event().wait())\n",
    "thread": "def test_it():\n    threading.Thread(target=time.sleep, args=(1.5,)).start()\n",
    "process": "def test_it():\n    global kept\n    kept = subprocess.Popen(['sleep', '60'])\n",
}
HEAD = (
    "import asyncio, subprocess, threading, time\nfrom pathlib import Path\nfrom rimward.edge import config\n"
)


def run_under_our_bench(folder: Path, source: str) -> str:
    """Run a test file under this repository's conftest and settings; return what pytest says."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_it.py").write_text(HEAD + source)
    settings = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *settings, str(folder / "test_it.py")]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout


@pytest.mark.parametrize("kind", LEAKS)
def test_what_outlives_its_test_fails_it(kind: str, tmp_path: Path) -> None:
    said = run_under_our_bench(tmp_path, LEAKS[kind])
    assert "left behind" in said
    assert "1 passed, 1 error" in said


def test_a_blocking_call_of_ours_in_the_loop_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text('{"app": "app.py", "data": "."}')
    call = f"config.read(Path({str(tmp_path / 'node.json')!r}))\n"
    assert "1 passed" in run_under_our_bench(tmp_path, f"def test_it():\n    {call}")
    said = run_under_our_bench(tmp_path, f"async def test_it():\n    {call}")
    assert "Blocking call to io.BufferedReader.read" in said
    assert "1 failed" in said


def test_a_test_that_hangs_in_its_loop_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    hang = "@pytest.mark.timeout(0.2)\nasync def test_it():\n    await asyncio.Event().wait()\n"
    said = run_under_our_bench(tmp_path, "import pytest\n" + hang + "async def test_next(): pass\n")
    assert "1 failed, 1 passed" in said


def test_a_warning_fails_the_test(tmp_path: Path) -> None:
    said = run_under_our_bench(tmp_path, "def test_it():\n    import warnings\n    warnings.warn('odd')\n")
    assert "1 failed" in said


def test_every_import_rule_catches_its_mistake(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    mistakes = {
        "rimward/streams/__init__.py": "import rimward.protocols",  # siblings
        "rimward/events/errors.py": "import asyncio",  # pure
        "rimward/edge/dispatch/types.py": "import rimward.network",  # fast path
        "rimward/edge/gateways/__init__.py": "import rimward.edge.outbox",
        "rimward/network/__init__.py": "import pyarrow",  # cloud extra
        "rimward_supervisor/__init__.py": "import msgspec",
    }
    config = ["--config", str(ROOT / ".importlinter"), "--no-cache"]
    command = [str(Path(sys.executable).with_name("lint-imports")), *config]

    def broken() -> set[str]:
        shown = subprocess.run(command, cwd=tmp_path / "src", capture_output=True, text=True, check=False)
        return set(re.findall(r"^(.+) BROKEN$", shown.stdout, re.MULTILINE))

    assert broken() == set()
    for name, line in mistakes.items():
        file = tmp_path / "src" / name
        file.write_text(f"{file.read_text()}\n{line}\n")
    assert len(broken()) == len(mistakes)


def test_a_package_that_no_layer_names_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/rimward/attic").mkdir()
    (tmp_path / "src/rimward/attic/__init__.py").touch()
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--config",
        str(ROOT / ".importlinter"),
        "--no-cache",
    ]
    shown = subprocess.run(command, cwd=tmp_path / "src", capture_output=True, text=True, check=False)
    assert shown.returncode != 0
    assert "attic" in shown.stdout
