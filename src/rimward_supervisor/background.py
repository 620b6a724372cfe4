"""Processes in the background: they run on what those in front of them leave of the CPUs (docs/adr/0110)."""

import os
from contextlib import suppress

NICE = 5  # a third of the weight of a process in front: what a machine without a free CPU leaves them


def give_way() -> None:
    """Put this process, and all that it starts, behind the others, and let it interrupt none of them."""
    with suppress(OSError):  # a sandbox may forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with suppress(OSError):
        os.nice(NICE)


def put_behind(pid: int) -> bool:
    """Put a process's session behind the others, where the kernel weighs those and not processes.

    That is sched(7)'s autogroup. Returns False where the kernel has no time for it now: of those who are not
    root it takes one such wish in 100 ms.
    """
    try:
        fd = os.open(f"/proc/{pid}/autogroup", os.O_WRONLY)
    except OSError:  # a kernel without it, or the process is gone
        return True
    try:
        os.write(fd, str(NICE).encode())
    except BlockingIOError:
        return False
    except OSError:  # forbidden: it will be the next time as well
        return True
    finally:
        os.close(fd)
    return True
