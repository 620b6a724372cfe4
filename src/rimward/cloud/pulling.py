# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake and nats ship partial types)
"""Envelopes off the bus, into the lake, and the marks to their nodes."""

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig

from rimward.cloud.announcing import Announcer
from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import connect
from rimward.cloud.durable import LakeBroken
from rimward.cloud.heeding import heed_cancellation
from rimward.cloud.ingest import Ingest
from rimward.cloud.parts import BROKEN, told
from rimward.cloud.reading import Reading
from rimward.cloud.store import Records
from rimward.cloud.streams import ensure_streams
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.wire import PRIORITIES, Mark, Marks, marks_subject, stream, stream_subject

log: Logger = get_logger("rimward.ingest")

BATCH = 64  # envelopes in one commit
ANNOUNCE = 0.5  # seconds between two repeats of the marks, and up to half as much again
AGAIN = 1.0  # seconds after which the bus gives back what could not be committed
CONSUMER = "ingest"


def committed_subject(region: str) -> str:
    """Return where ingest tells the rest of the hub that rows were committed."""
    return f"hub.{region}.committed"


class Pulling:
    """Pulls envelopes, commits them, and announces marks."""

    def __init__(
        self,
        config: HubConfig,
        ingest: Ingest,
        records: Records,
        announcer: Announcer | None,
        now: Callable[[], int],
    ) -> None:
        """`now` is the wall clock, ns."""
        self._config = config
        self._ingest = ingest
        self._records = records
        self._announcer = announcer
        self._now = now
        self._reading = Reading(now)
        self._marks: dict[str, dict[str, Mark]] = {}
        for node, mark in ingest.marks():
            self._marks.setdefault(node, {})[mark.fact] = mark
        self._turn = asyncio.Lock()  # one commit at a time

    async def run(self) -> None:
        """Pull until the connection ends.

        Raises:
            LakeBroken: an fsync failed; only a new start may look at the lake again.
        """
        client = await connect(self._config)
        async with asyncio.TaskGroup() as tasks:
            try:
                js = client.jetstream()
                await ensure_streams(js, self._config)
                pulls = [tasks.create_task(self._pull(client, js, priority)) for priority in PRIORITIES]
                while client.is_connected and not any(pull.done() for pull in pulls):
                    await self._announce(client)
                    heed_cancellation()
                    await asyncio.sleep(ANNOUNCE * random.uniform(1, 1.5))  # noqa: S311 (spread, not secret)
            finally:  # before the pulls are awaited: their client may swallow a cancellation
                with contextlib.suppress(*BROKEN):
                    await asyncio.wait_for(client.close(), 2)

    async def _pull(self, client: Client, js: JetStreamContext, priority: str) -> None:
        """Take one priority's envelopes until the connection ends."""
        consumer = ConsumerConfig(ack_wait=30, max_ack_pending=4 * BATCH)
        subject = stream_subject(self._config.region, priority)
        pull = await js.pull_subscribe(subject, durable=CONSUMER, stream=stream(priority), config=consumer)
        while client.is_connected:
            messages: list[Msg] = []
            with contextlib.suppress(TimeoutError, nats.errors.TimeoutError):
                messages = await pull.fetch(BATCH, timeout=0.5)
            if messages:
                reach("ingest.fetched")
                async with self._turn:
                    await self._take(client, messages)
                await asyncio.sleep(self._config.gather)

    async def _take(self, client: Client, messages: list[Msg]) -> None:
        """Commit what messages bring, and only then take them off the bus."""
        by_fact, done = self._reading.sort(messages)
        counts = self._reading.counts
        for fact, arrivals in by_fact.items():
            envelopes = [arrival.envelope for arrival in arrivals]
            try:
                outcome = await asyncio.to_thread(self._ingest.take, fact, envelopes)
            except LakeBroken:
                raise
            except Exception as error:  # noqa: BLE001 (one fact's commit ends no other's; all is tried again)
                counts["failed_commits"] += 1
                log.error("a commit failed", fact=fact, error=told(error))  # noqa: TRY400 (one line; it is tried again)
                for arrival in arrivals:
                    await arrival.message.nak(delay=AGAIN)
                continue
            await self._write_down(self._records.note, outcome, self._now())
            reach("ingest.recorded")
            if outcome.clashes:
                log.error("rows of another outbox under a node's name were refused", fact=fact)
            for node, mark in outcome.marks:
                self._marks.setdefault(node, {})[mark.fact] = mark
            done += [arrival.message for arrival in arrivals]
            if self._announcer is not None:
                self._announcer.offer(fact, outcome.rows)
                counts.update(self._announcer.take_counts())
        if counts and await self._write_down(self._records.add, counts):
            counts.clear()
        for message in done:
            await message.ack()
        reach("ingest.acked")
        await self._announce(client)
        reach("ingest.announced")
        await client.publish(committed_subject(self._config.region))

    async def _write_down(self, write: Callable[..., None], *arguments: object) -> bool:
        """Note something for people; False where hub.db refuses, which holds no row up."""
        try:
            await asyncio.to_thread(write, *arguments)
        except sqlite3.Error as error:
            log.error("the hub's own file can't be written", error=told(error))  # noqa: TRY400 (one line)
            return False
        return True

    async def _announce(self, client: Client) -> None:
        for node, marks in self._marks.items():
            await client.publish(marks_subject(node), Marks(node, tuple(marks.values())).encode())
        await client.flush(timeout=2)
