"""The zygote of a node's workers, and the socket on which the two find each other."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from rimward.edge.functions.config import BASICS, LISTENER
from rimward.local.folder import DataFolder

_LONGEST = 100  # bytes of a Unix socket's path; the kernel takes 107


def zygote_process(folder: DataFolder, python: str) -> dict[str, Any]:
    """Return the zygote as the supervisor's spec writes it: without listeners and secrets."""
    argv = [python, "-m", "rimward.edge.functions.zygote", str(socket_path(folder))]
    return {"name": "zygote", "argv": argv, "keeps": list(BASICS)}


def workers_listener(folder: DataFolder) -> dict[str, Any]:
    """Return the node's socket for it, as the spec writes listeners."""
    return {LISTENER: {"unix": str(socket_path(folder)), "mode": 0o600}}


def socket_path(folder: DataFolder) -> Path:
    """Return where that is: in the data folder, or in that for temporary files where its path is too long."""
    path = folder.run / "workers.sock"
    if len(str(path.absolute()).encode()) <= _LONGEST:
        return path.absolute()
    name = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"rimward-{name}.sock")
