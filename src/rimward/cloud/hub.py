# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake and nats ship partial types)
"""The hub: pulls envelopes off the bus, commits them, announces marks, and pokes the cloud functions."""

import asyncio
import contextlib
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

from rimward.app import manifest as manifests
from rimward.cloud.announcing import Announcer
from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import connect
from rimward.cloud.durable import LakeBroken
from rimward.cloud.heeding import heed_cancellation
from rimward.cloud.ingest import Ingest
from rimward.cloud.reading import Reading
from rimward.cloud.store import Records
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.observe.life import HUB, live
from rimward.wire import PRIORITIES, Mark, Marks, marks_subject, stream, stream_subject

log: Logger = get_logger("rimward.hub")

BATCH = 64  # envelopes in one commit
BEAT = 1.0  # seconds between two signs of life
RETRY = 0.25  # seconds between connections
ANNOUNCE = 0.5  # seconds between two repeats of the marks, and up to half as much again
AGAIN = 1.0  # seconds after which the bus gives back what could not be committed
CONSUMER = "ingest"
BROKEN = (OSError, nats.errors.Error, nats.js.errors.Error, TimeoutError)


class Hub:
    """One region's ingest and cloud functions, until it is stopped."""

    def __init__(self, config: HubConfig, now: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now = now
        self._data = Path(config.data)
        self._manifest = manifests.decode(Path(config.manifest).read_bytes())
        self._records = Records(self._data / "hub" / "hub.db")
        self._ingest = Ingest(self._data / "lake", self._manifest.facts, now)
        self._reading = Reading(now)
        self._announcer = Announcer(config, self._manifest) if config.events else None
        self._marks: dict[str, dict[str, Mark]] = {}
        for node, mark in self._ingest.marks():
            self._marks.setdefault(node, {})[mark.fact] = mark
        self._turn = asyncio.Lock()  # one commit at a time
        self._poked = asyncio.Event()

    async def run(self) -> None:
        """Ingest, and start over whenever the bus breaks.

        Raises:
            LakeBroken: an fsync failed; only a new start may look at the lake again.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._live())
            if any(function.layer == "cloud" for function in self._manifest.functions):
                tasks.create_task(self._work())
            if self._announcer is not None:
                tasks.create_task(self._announcer.run())
            while True:
                try:
                    await self._session()
                except* LakeBroken:
                    raise
                except* BROKEN as group:
                    log.info("ingest starts over", error=type(group.exceptions[0]).__name__)
                except* Exception as group:  # noqa: BLE001 (the hub's outermost edge: it goes on)
                    log.error("ingest failed and starts over", error=_told(group.exceptions[0]))  # noqa: TRY400 (one line; it is tried again)
                await asyncio.sleep(RETRY)

    def close(self) -> None:
        """Close the hub's own file; for one whose process goes on."""
        self._records.close()

    async def _live(self) -> None:
        while True:
            await asyncio.to_thread(live, self._data / HUB)
            await asyncio.sleep(BEAT)

    async def _session(self) -> None:
        client = await connect(self._config)
        async with asyncio.TaskGroup() as tasks:
            try:
                js = client.jetstream()
                for priority in PRIORITIES:
                    await self._ensure_stream(js, priority)
                pulls = [tasks.create_task(self._pull(client, js, priority)) for priority in PRIORITIES]
                while client.is_connected and not any(pull.done() for pull in pulls):
                    await self._announce(client)
                    heed_cancellation()
                    await asyncio.sleep(ANNOUNCE * random.uniform(1, 1.5))  # noqa: S311 (spread, not secret)
            finally:  # before the pulls are awaited: their client may swallow a cancellation
                with contextlib.suppress(*BROKEN):
                    await asyncio.wait_for(client.close(), 2)

    async def _ensure_stream(self, js: JetStreamContext, priority: str) -> None:
        """Make a priority's stream: what is acknowledged, because the lake has it, leaves it at once."""
        config = StreamConfig(
            name=stream(priority),
            subjects=[stream_subject(self._config.region, priority)],
            retention=RetentionPolicy.WORK_QUEUE,
            discard=DiscardPolicy.NEW,
            max_bytes=self._config.stream_bytes,
            max_msgs_per_subject=self._config.lane_messages,
            discard_new_per_subject=True,
            duplicate_window=120,
            allow_direct=True,
        )
        try:
            await js.add_stream(config)
        except nats.js.errors.BadRequestError:  # it is there with other limits
            await js.update_stream(config)

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
                log.error("a commit failed", fact=fact, error=_told(error))  # noqa: TRY400 (one line; it is tried again)
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
        self._poked.set()

    async def _write_down(self, write: Callable[..., None], *arguments: object) -> bool:
        """Note something for people; False where hub.db refuses, which holds no row up."""
        try:
            await asyncio.to_thread(write, *arguments)
        except sqlite3.Error as error:
            log.error("the hub's own file can't be written", error=_told(error))  # noqa: TRY400 (one line)
            return False
        return True

    async def _announce(self, client: Client) -> None:
        for node, marks in self._marks.items():
            await client.publish(marks_subject(node), Marks(node, tuple(marks.values())).encode())
        await client.flush(timeout=2)

    async def _work(self) -> None:
        """Keep a process that runs the cloud functions; it is poked after each commit."""
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "rimward.cloud.worker", self._config.app, str(self._data),
                stdin=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert process.stdin is not None
            try:
                while process.returncode is None:
                    process.stdin.write(b"\n")
                    await process.stdin.drain()
                    self._poked.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._poked.wait(), 1)
            except OSError:
                log.warning("the cloud functions' process died")
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()
            await asyncio.sleep(1)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
