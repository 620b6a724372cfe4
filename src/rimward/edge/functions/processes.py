"""What the kernel says of processes; it lies in memory, so that reading it waits for nothing."""

import os
import resource
from pathlib import Path

from rimward_supervisor.watch import thread_of


def parent_of(pid: int) -> int | None:
    """Return a process's parent; None for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def resident(pid: int) -> int:
    """Return the bytes that a process has in memory; 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def main_thread(pid: int) -> tuple[int, str]:
    """Return the CPU time of a process's main thread, ns, and its state; (0, "?") for one that is gone."""
    return thread_of(pid)


def close_all_but(kept: int) -> None:
    """Close every descriptor of this process but standard input, output and error, and one."""
    os.closerange(3, kept)
    os.closerange(kept + 1, 65_536)
