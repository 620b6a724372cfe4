"""Facts that cloud functions forward: from hub.db into their tables, exactly once.

They are in hub.db with everything else that a call did. From there they go the way of a node's rows: numbered
by table, judged by the same ingest, with a mark of their own under the node name `hub`. Who repeats a step
after a crash repeats it with the same numbers.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from rimward.app.manifest import FactSpec
from rimward.cloud.config import HubConfig
from rimward.cloud.erasing.listing import Erasures
from rimward.cloud.functions.hubdb import epoch_of, open_journal
from rimward.cloud.ingest.envelopes import Envelope, Outcome
from rimward.cloud.lake.storage import lake_of
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.observe.threads import in_thread
from rimward.observe.transactions import transaction
from rimward.wire import HUB, Epoch, Header, Lane, Row

log: Logger = get_logger("rimward.hub")

LOOK = 0.3  # seconds between two looks
ROWS = 500  # of one envelope
ENVELOPES = 64  # of one commit
KEPT = 86_400_000_000_000  # ns that rows stay after they are in the lake, for one that is restored


class Takes(Protocol):
    """What writes to the lake: `Ingest` is one."""

    def mark(self, node: str, lane: str, /) -> tuple[int, int]:
        """Return a lane's last row in the lake, as (counter, seq)."""
        ...

    def take(self, fact: str, envelopes: list[Envelope], /) -> Outcome:
        """Commit what is new of one fact's envelopes."""
        ...


class Forwarding:
    """The hub's own outbox, drained."""

    def __init__(self, path: Path, ingest: Takes, now: Callable[[], int], site: str = "hub") -> None:
        """`path` is hub.db's; `now` is the wall clock, ns."""
        self._db = open_journal(path)
        self._ingest = ingest
        self._now = now
        self._site = site

    def drain(self) -> int:
        """Put everything that waits into its table, and return how many rows that were."""
        epoch = epoch_of(self._db)
        if epoch is None:
            return 0
        return sum(self._drain(epoch, table) for table, _ in lanes(self._db))

    def _drain(self, epoch: Epoch, table: str) -> int:
        """Put one table's rows there; the lake's mark says where they begin."""
        drained = 0
        while True:
            sent = self._sent(epoch, table)
            envelopes = list(self._envelopes(epoch, table, sent))
            if not envelopes:
                break
            self._ingest.take(table, envelopes)
            reach("functions.forwarded")
            drained += self._sent(epoch, table) - sent
            if self._sent(epoch, table) == sent:
                log.error("rows of cloud functions are not taken", table=table)
                break
        if drained:
            self._forget(table, sent)
        return drained

    def _sent(self, epoch: Epoch, table: str) -> int:
        counter, seq = self._ingest.mark(HUB, table)
        return seq if counter == epoch.counter else 0

    def _envelopes(self, epoch: Epoch, table: str, sent: int) -> Iterator[Envelope]:
        """Yield what follows a row; what is no longer here is said to be lost."""
        found = self._db.execute(
            "select seq, schema, priority, event, trace, at, body from hub_row "
            "where table_name = ? and seq > ? order by seq limit ?",
            (table, sent, ROWS * ENVELOPES),
        ).fetchall()
        if found and found[0][0] > sent + 1:
            yield self._envelope(epoch, table, found[0][1:3], (sent + 1, found[0][0] - 1), None)
        start = 0
        for index in range(1, len(found) + 1):
            piece = found[start:index]
            if index < len(found) and found[index][1] == piece[0][1] and len(piece) < ROWS:
                continue
            rows = [
                Row(
                    seq, at, event, None, "synced",
                    replayed=False, trace=trace, values=tuple(msgspec.msgpack.decode(body)),
                )
                for seq, _, _, event, trace, at, body in piece
            ]  # fmt: skip
            yield self._envelope(epoch, table, piece[0][1:3], (piece[0][0], piece[-1][0]), rows)
            start = index

    def _envelope(
        self, epoch: Epoch, table: str, kind: tuple[str, str], ends: tuple[int, int], rows: list[Row] | None
    ) -> Envelope:
        schema, priority = kind
        now = self._now()
        header = Header(
            schema, priority, *ends, now, site=self._site, lost="forgotten" if rows is None else None
        )
        return Envelope(Lane(HUB, epoch, table), header, msgspec.msgpack.encode(rows or []), now)

    def _forget(self, table: str, sent: int) -> None:
        """Delete what the lake has had for long enough."""
        with transaction(self._db):
            self._db.execute(
                "delete from hub_row where table_name = ? and seq <= ? and at < ?",
                (table, sent, self._now() - KEPT),
            )

    def close(self) -> None:
        """Close hub.db."""
        self._db.close()


def lanes(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return every table that functions have forwarded to, with the last number given."""
    return db.execute("select table_name, last from hub_lane order by table_name").fetchall()


class HubLane(Struct, frozen=True):
    """One table's part of what functions have forwarded in one epoch, as hub.db knows it."""

    table: str
    counter: int
    last: int  # the last number that was given
    first: int | None  # the first row that is still here
    oldest: int | None  # wall ns at which that one was forwarded


def hub_lanes(data: Path) -> list[HubLane]:
    """Return what functions have forwarded; nothing where there is no hub.db."""
    path = data / "hub" / "hub.db"
    if not path.exists():
        return []
    with closing(open_journal(path)) as db:
        epoch = epoch_of(db)
        before = db.execute("select table_name, counter, last from hub_before").fetchall()
        now = db.execute(
            "select lane.table_name, last, min(seq), min(at) from hub_lane lane left join hub_row row "
            "on row.table_name = lane.table_name group by lane.table_name"
        ).fetchall()
    found = [HubLane(table, counter, last, None, None) for table, counter, last in before]
    if epoch is not None:
        found += [HubLane(table, epoch.counter, *rest) for table, *rest in now]
    return found


class Forwards:
    """A part of the hub: drains what functions forward as soon as it is there."""

    def __init__(self, config: HubConfig, facts: Iterable[FactSpec], now: Callable[[], int]) -> None:
        """`now` is the wall clock, ns."""
        self._data = Path(config.data)
        self._facts = tuple(facts)
        self._now = now
        self._forwarding: Forwarding | None = None  # made with the first row: most apps have none
        self._told = False  # that this process may not write

    async def run(self) -> None:
        """Drain for ever.

        Raises:
            LakeBroken: an fsync failed; only a new start may look at the lake again.
        """
        while True:
            await in_thread(self._drain)
            await asyncio.sleep(LOOK)

    def _drain(self) -> None:
        path = self._data / "hub" / "hub.db"
        if self._forwarding is None:
            with closing(open_journal(path)) as db:
                if not lanes(db):
                    return
            lake = lake_of(self._data)
            if not lake.excludes():
                if not self._told:
                    log.error("the store leaves writing to ingest: what cloud functions forward waits here")
                self._told = True
                return
            from rimward.cloud.ingest.core import Ingest  # with the first row: most apps have none

            erasures = Erasures(self._data, lake)
            ingest = Ingest(lake, self._facts, self._now, erasures=erasures)
            self._forwarding = Forwarding(path, ingest, self._now)
        self._forwarding.drain()
