"""What the kernel says of its clocks: which boot this is, and whether anything disciplines the wall clock.

adjtimex(2) by ctypes, as nothing of the standard library calls it.
"""

import ctypes
import os
import time
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
STA_UNSYNC = 0x40
_Long = ctypes.c_long


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", _Long), ("freq", _Long), ("maxerror", _Long),
        ("esterror", _Long), ("status", ctypes.c_int), ("constant", _Long), ("precision", _Long),
        ("tolerance", _Long), ("time", _Long * 2), ("tick", _Long), ("pps", _Long * 2),
        ("shift", ctypes.c_int), ("more", _Long * 5), ("tai", ctypes.c_int), ("spare", ctypes.c_int * 11),
    )  # fmt: skip


def boot_id() -> str:
    """Return what names this boot of the machine; where the system has no name for it, of this process."""
    try:
        return BOOT.read_text("ascii").strip()
    except (OSError, ValueError):
        return os.urandom(16).hex()


def boottime() -> int:
    """Return CLOCK_BOOTTIME, ns: it goes on while the machine sleeps, and nobody can set it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Discipline:
    """Whether something keeps the wall clock right, as the kernel has been told."""

    def __init__(self) -> None:
        self._adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)

    def __call__(self) -> int | None:
        """Return by how much the wall clock may be wrong, ns; None where nothing disciplines it."""
        if self._adjtimex is None:
            return None
        state = _Timex()  # modes 0: it is only asked
        if self._adjtimex(ctypes.byref(state)) < 0 or state.status & STA_UNSYNC:
            return None
        return state.maxerror * 1000
