"""The hub looks at its own ledger: a sum that is not right is told, and counted in hub.db.

Only what nodes reported and tables hold is looked at, never a node's disk. A sum may be off for a moment
while a lake is being restored, so it is told when it is off by the same number twice in a row.
"""

import asyncio
import sqlite3
from pathlib import Path

from deltalake.exceptions import DeltaError

from rimward.cloud.ledger.accounting import Balance, balances, selections
from rimward.cloud.ledger.reports import read_reports
from rimward.cloud.store import Records
from rimward.observe import Logger, get_logger
from rimward.observe.threads import in_thread

log: Logger = get_logger("rimward.hub")

EVERY = 60.0  # seconds between two looks
OFF_NOW = "ledger_off_now"  # sums that are off at the last look


class Auditing:
    """A part of the hub."""

    def __init__(self, data: Path, records: Records) -> None:
        """`records` are hub.db's, where the counter is."""
        self._data = data
        self._records = records
        self._off: set[tuple[str, str, int]] = set()  # (node, fact, rows) at the last look
        self._told: set[tuple[str, str, int]] = set()  # of which it was told
        self._now_off: int | None = None

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(EVERY)
            await in_thread(self.look)

    def look(self) -> list[Balance]:
        """Look once; return the sums that were off by the same number before."""
        try:
            found = audit(self._data)
        except (OSError, sqlite3.Error, DeltaError) as error:
            log.warning("the ledger can't be read", error=type(error).__name__)
            return []
        off = {(one.node, one.fact, missing): one for one in found if (missing := one.missing)}
        told = [one for key, one in off.items() if key in self._off]
        fresh = [one for key, one in off.items() if key in self._off and key not in self._told]
        for one in fresh:
            log.error("the ledger is off", node=one.node, fact=one.fact, missing=one.missing)
        if fresh:
            self._records.add({"ledger_off": len(fresh)})
        if len(told) != self._now_off:
            self._now_off = len(told)
            self._records.put(OFF_NOW, self._now_off)
        self._told = set(off) & self._off
        self._off = set(off)
        return told


def audit(data: Path) -> tuple[Balance, ...]:
    """Return the balance of every node that has reported."""
    from rimward.cloud.api import lanes_stored  # a minute after the hub's start, which goes without it

    accounts = read_reports(data)
    nodes = {one.node for one in accounts}
    stored = [one for one in lanes_stored(data, selections(accounts)) if one.node in nodes]
    return balances(accounts, stored)
