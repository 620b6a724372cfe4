# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""The account of a run: what devices were told, what the tables hold, and that each row is one of theirs."""

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from msgspec import Struct
from tests.e2e.load import TABLES

from rimward.cloud.api import lanes_stored
from rimward.edge.deep.reader import OutboxReader

from .devices import Account, Message
from .fleet import Fleet, until

COLUMNS = ["meter", "n", "_node", "_epoch", "_seq"]
Rows = dict[str, list[tuple[Any, ...]]]


class Result(Struct, frozen=True):
    """What came of a run, in messages but for the rows."""

    acknowledged: int
    sent: int
    resent: int  # transmissions with DUP
    rows: int  # of all tables
    extra: int  # copies of messages that are rows, sent and not acknowledged
    lost: int  # rows that their nodes recorded as lost

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} acknowledged of {self.sent:,} sent, all of them rows "
            f"({self.resent:,} resent with DUP); "
            f"{self.rows:,} rows in {len(TABLES)} tables, {self.extra:,} extra rows sent and unacknowledged, "
            f"0 doubles, {self.lost:,} recorded losses"
        )


def rows_of(lake: Path) -> Rows:
    """Return every table's rows."""
    found: Rows = {}
    for name in TABLES:
        table: Any = DeltaTable(str(lake / name)).to_pyarrow_table(columns=COLUMNS)
        found[name] = list(zip(*(table.column(one).to_pylist() for one in COLUMNS), strict=True))
    return found


def waiting(fleet: Fleet) -> list[str]:
    """Return the lanes whose rows are not all in the lake."""
    stored = {(one.node, one.fact): (one.counter, one.seq) for one in lanes_stored(fleet.hub.folder)}
    left: list[str] = []
    for node in fleet.nodes:
        with closing(OutboxReader(node.folder / "node" / "outbox.db", node.name)) as reader:
            left += [
                f"{node.name} {supply.fact} {supply.last}"
                for supply in reader.supplies()
                if supply.last > stored.get((node.name, supply.fact), (0, 0))
            ]
    return left


def settle(fleet: Fleet, patience: float = 60.0) -> None:
    """Wait until every row of every outbox is in the lake."""
    until(lambda: not waiting(fleet), "nothing waits", patience)


def check(fleet: Fleet, account: Account, *, losses: bool = False) -> Result:
    """Assert that all that was acknowledged is there, whole and once, and nothing that was never sent."""
    rows = rows_of(fleet.hub.folder / "lake")
    copies = {name: Counter((row[0], row[1]) for row in found) for name, found in rows.items()}
    first = copies[TABLES[0]]
    lost = sum(one.lost for one in lanes_stored(fleet.hub.folder))
    if not losses:
        assert lost == 0, f"{lost} rows were given up"
        assert all(one == first for one in copies.values()), "a message's facts come together or not at all"
    for name, found in copies.items():
        missing = account.acknowledged - set(found)
        assert losses or not missing, f"{len(missing)} acknowledged messages not in {name}: {_some(missing)}"
        assert set(found) <= set(account.sent), f"rows in {name} that nobody sent"
        more = {message for message, times in found.items() if times > account.sent[message]}
        assert not more, f"more rows in {name} than transmissions: {_some(more)}"
    for name, found in rows.items():
        identities = Counter(row[2:] for row in found)
        doubles = [identity for identity, times in identities.items() if times > 1]
        assert not doubles, f"{len(doubles)} doubled rows in {name}: {doubles[:3]}"
    extra = sum(times - (message in account.acknowledged) for message, times in first.items())
    return Result(
        acknowledged=len(account.acknowledged), sent=len(account.sent), resent=account.resent,
        rows=sum(map(len, rows.values())), extra=extra, lost=lost,
    )  # fmt: skip


def _some(messages: set[Message]) -> str:
    return ", ".join(f"{meter} {n}" for meter, n in sorted(messages)[:5])
