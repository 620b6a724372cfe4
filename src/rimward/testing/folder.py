"""Where a Site's files are: in memory where there is a place for that, for they never meet a disk."""

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 (a folder with a random name is made in it)


def temporary(kind: str) -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is deleted with the object."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix=f"rimward-{kind}-", dir=memory, ignore_cleanup_errors=True)
