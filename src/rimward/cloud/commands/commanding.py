# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""The hub's part for commands: answers nodes, hints at what is new, and takes results from the lake."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg

from rimward.app.commands import RESULT
from rimward.cloud.commands.desk import expire, give, newest, settle
from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import connect
from rimward.cloud.functions.changes import Changes, HistoryGone
from rimward.cloud.functions.hubdb import open_journal
from rimward.cloud.lake.storage import Storage, lake_of
from rimward.cloud.parts import BROKEN
from rimward.network.bus import hang_up
from rimward.network.heeding import heed_cancellation
from rimward.observe import Logger, get_logger
from rimward.observe.threads import in_thread
from rimward.observe.transactions import transaction
from rimward.wire.commands import Commands, Wanted, all_commands_subject, asking_node, hint_subject

log: Logger = get_logger("rimward.hub")

LOOK = 0.5  # seconds between two looks at what is new
READER = "_results"  # the name under which the offset in the table of results is kept


class CommandDesk:
    """Commands of a region, without a bus: what nodes ask for and what came of it."""

    def __init__(self, path: Path, lake: Storage, now: Callable[[], int]) -> None:
        """`path` is hub.db's; `now` is the wall clock, ns."""
        self.db: sqlite3.Connection = open_journal(path)
        self._results = Changes(lake, RESULT.spec.table)
        self._now = now
        self._told = newest(self.db, 0)[0]

    def answer(self, node: str, wanted: Wanted) -> Commands:
        """Return what a node is to carry out next."""
        return give(self.db, node, wanted, self._now())

    def news(self) -> list[str]:
        """Return the nodes that have commands since the last look."""
        self._told, nodes = newest(self.db, self._told)
        return nodes

    def look(self) -> int:
        """Take what the lake has of results, and end what is too late; return how many commands ended."""
        ended = 0
        if self._results.look():
            start = self._offset()
            for version in range(start, self._results.version + 1):
                try:
                    rows = self._results.commit(version).rows
                except HistoryGone:
                    rows = [row for part in self._results.search(_from_the_start) for row in part]
                ended += settle(self.db, rows, self._now()) if rows else 0
                self._move(version + 1)
        return ended + expire(self.db, self._now())

    def _offset(self) -> int:
        row = self.db.execute(
            "select table_id, version from function_offset where function = ?", (READER,)
        ).fetchone()
        if row is None or row[0] != self._results.id or row[1] > self._results.version + 1:
            return 0
        return int(row[1])

    def _move(self, version: int) -> None:
        with transaction(self.db):
            self.db.execute(
                "insert or replace into function_offset values (?, ?, ?, 0)",
                (READER, self._results.id, version),
            )

    def close(self) -> None:
        """Close hub.db."""
        self.db.close()


class Commanding:
    """A part of the hub."""

    def __init__(self, config: HubConfig, now: Callable[[], int]) -> None:
        """`now` is the wall clock, ns."""
        data = Path(config.data)
        self._config = config
        self._desk = CommandDesk(data / "hub" / "hub.db", lake_of(data), now)
        self._turn = asyncio.Lock()  # one transaction at a time

    async def run(self) -> None:
        """Answer and hint until the connection breaks."""
        client = await connect(self._config)
        try:
            await client.subscribe(
                all_commands_subject(self._config.region), queue="commands", cb=self._asked
            )
            while client.is_connected:
                async with self._turn:
                    await in_thread(self._desk.look)
                    nodes = await in_thread(self._desk.news)
                await self._hint(client, nodes)
                heed_cancellation()
                await asyncio.sleep(LOOK)
        finally:
            await hang_up(client)

    def close(self) -> None:
        """Close hub.db; for one whose process goes on."""
        self._desk.close()

    async def _hint(self, client: Client, nodes: list[str]) -> None:
        for node in nodes:
            with contextlib.suppress(ValueError):  # a function may name any node; it will never ask
                await client.publish(hint_subject(node), b"")

    async def _asked(self, message: Msg) -> None:
        try:
            node, wanted = asking_node(message.subject), Wanted.decode(message.data)
        except ValueError as error:
            log.warning("a question for commands can't be read", error=str(error))
            return
        async with self._turn:
            answer = await in_thread(self._desk.answer, node, wanted)
        with contextlib.suppress(*BROKEN):
            await message.respond(answer.encode())


def _from_the_start(_node: str, _lane: str) -> int:
    return 0
