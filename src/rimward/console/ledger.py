"""The ledger read from all ends: nodes' disks where they are at hand, their last reports, and the tables.

A report is read before the tables, and the tables before a disk. Whatever is forwarded or stored meanwhile is
then numbered and beyond the mark that was read: it counts on both sides, and the equation holds while
everything moves.
"""

from pathlib import Path

from msgspec.structs import replace

from rimward.cloud.ledger.accounting import Balance, balances, selections
from rimward.cloud.ledger.reports import read_reports
from rimward.edge.api import Outline, outline_of, read_account
from rimward.wire import HUB
from rimward.wire.account import EVER, Account, Held, LaneAccount

__all__ = ["Balance", "balances", "read_ledger"]


def read_ledger(data: Path) -> tuple[Balance, ...]:
    """Return the balance of every fact and node under a data folder; it counts rows, which costs work."""
    from rimward.cloud.api import lanes_stored

    accounts = known_accounts(data)
    stored = lanes_stored(data, selections(accounts))
    found = [_counted(data, one) if one.at is None else one for one in accounts]
    return balances([*found, _hub_account(data)], stored)


def _hub_account(data: Path) -> Account:
    """Return what cloud functions have forwarded: the hub is a node to its own lake."""
    from rimward.cloud.functions.forwarding import hub_lanes

    found: dict[str, LaneAccount] = {}
    for one in hub_lanes(data):
        before = found.get(one.table, LaneAccount(one.table, 0, held=()))
        here = () if one.first is None else (Held(one.counter, one.first, one.last, one.oldest or 0),)
        held = (*(before.held or ()), *here)
        found[one.table] = replace(before, forwarded=before.forwarded + one.last, held=held)
    return Account(HUB, "hub", tuple(found.values()))


def known_accounts(data: Path) -> list[Account]:
    """Return every outbox's account; of the one whose disk is here what is to be counted, not yet counted."""
    reports, outline = read_reports(data), outline_of(data)
    if outline is None:
        return reports
    others = [one for one in reports if (one.node, one.outbox) != (outline.node, outline.outbox)]
    mine = next((one for one in reports if one not in others), None)
    return [*(_before(one, outline, mine) for one in others), _here(outline, mine, others)]


def _before(report: Account, outline: Outline, mine: Account | None) -> Account:
    """Return the report of another outbox; one of the node whose disk is here has lost its place to it."""
    if report.node != outline.node or report.lost or mine is not None:
        return report
    return replace(report, end=outline.first)


def _here(outline: Outline, mine: Account | None, others: list[Account]) -> Account:
    earlier = any(one.node == outline.node for one in others)
    first = mine.first if mine is not None else outline.first if earlier else 0
    lanes = tuple(LaneAccount(lane, 0) for lane in outline.lanes)
    return Account(outline.node, outline.outbox, lanes, None, first, EVER)


def _counted(data: Path, one: Account) -> Account:
    found = read_account(data, one.node)
    return one if found is None else replace(one, lanes=found.lanes)
