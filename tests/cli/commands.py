"""Commands as a person starts them, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PATIENCE = 40.0  # seconds that a command may take before a test gives up; never a measure of speed


def command(*words: str, at: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run one in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "rimward", *words],
        cwd=at,
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what it wrote as JSON lines."""
    return [json.loads(line) for line in done.stdout.splitlines()]
