"""The disk as `rimward fault disk` makes it: slow, without room, or failing, for a while."""

import sqlite3
import time
from collections.abc import Callable

from rimward.observe.faults import Faults


class FaultyDisk:
    """Stands before each commit of the outbox; without a fault it looks at a clock and no more."""

    def __init__(self, faults: Faults, sleep: Callable[[float], None] = time.sleep) -> None:
        self._faults = faults
        self._sleep = sleep

    def bears(self) -> bool:
        """Tell whether a write could succeed now."""
        fault = self._faults.get("disk")
        return fault is None or fault.mode == "slow"

    def strike(self) -> None:
        """Do to a commit what the fault asks.

        Raises:
            sqlite3.OperationalError: as the disk would: it has no room, or an I/O error.
        """
        fault = self._faults.get("disk")
        if fault is None:
            return
        if fault.mode == "slow":
            self._sleep(fault.delay)
            return
        full = fault.mode == "full"
        error = sqlite3.OperationalError(
            "no room, by rimward fault" if full else "I/O error, by rimward fault"
        )
        error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
        raise error
