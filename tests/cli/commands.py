"""Commands as a person starts them, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PATIENCE = 40.0  # seconds that a command may take before a test gives up; never a measure of speed


def command(*words: str, at: Path, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run one in a folder; `env` is beside what this process has."""
    return subprocess.run(
        [sys.executable, "-m", "rimward", *words],
        cwd=at,
        env=os.environ | env,
        input=given,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return what it wrote as JSON lines."""
    return [json.loads(line) for line in done.stdout.splitlines()]
