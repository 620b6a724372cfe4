"""The ledger's equation from both ends: what the outbox has numbered, and what the tables hold.

The tables are read first. Whatever is forwarded or stored meanwhile is then numbered and beyond the mark that
was read: it counts on both sides, and the equation holds while everything moves.
"""

from collections.abc import Iterable
from pathlib import Path

from rimward.cloud.stored import Stored
from rimward.console.model import Balance
from rimward.edge.api import LaneReport, read_lanes
from rimward.wire import HUB


def read_ledger(data: Path) -> tuple[Balance, ...]:
    """Return the balance of every fact and node under a data folder; it counts rows, which costs work."""
    from rimward.cloud.api import lanes_stored
    from rimward.cloud.forwarding import hub_lanes

    stored = lanes_stored(data)
    own = [
        LaneReport(
            HUB,
            lane.table,
            lane.counter,
            lane.last,
            () if lane.first is None else ((lane.first, lane.last),),
            () if lane.oldest is None else (lane.oldest,),
        )
        for lane in hub_lanes(data)
    ]
    return balances([*read_lanes(data), *own], stored)


def balances(lanes: Iterable[LaneReport], stored: Iterable[Stored]) -> tuple[Balance, ...]:
    """Return the balance of every fact and node that either side knows."""
    tables = {(one.node, one.fact): one for one in stored}
    reports: dict[tuple[str, str], list[LaneReport]] = {key: [] for key in tables}
    for lane in lanes:
        reports.setdefault((lane.node, lane.fact), []).append(lane)
    return tuple(_balance(*key, reports[key], tables.get(key)) for key in sorted(reports))


def _balance(node: str, fact: str, lanes: list[LaneReport], stored: Stored | None) -> Balance:
    mark = (stored.counter, stored.seq) if stored else (0, 0)
    beyond = [
        (last - max(first - 1, mark[1] if lane.counter == mark[0] else 0), at)
        for lane in lanes
        for (first, last), at in zip(lane.held, lane.taken_at, strict=True)
        if (lane.counter, last) > mark
    ]
    return Balance(
        node=node,
        fact=fact,
        forwarded=sum(lane.forwarded for lane in lanes),
        stored=stored.rows if stored else 0,
        waiting=sum(rows for rows, _ in beyond),
        dead_lettered=stored.dead if stored else 0,
        discarded=stored.lost if stored else 0,
        oldest=min((at for _, at in beyond), default=None),
    )
