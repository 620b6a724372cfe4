# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The hub: pulls envelopes off the bus, commits them, announces marks, and pokes the cloud functions."""

import asyncio
import contextlib
import random
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
from nats.js.api import ConsumerConfig, DiscardPolicy, StreamConfig

from rimward.app import manifest as manifests
from rimward.cloud.config import HubConfig
from rimward.cloud.ingest import Envelope, Ingest, Outcome
from rimward.cloud.store import ENVELOPES_KEPT, connect
from rimward.observe import get_logger
from rimward.wire import EnvelopeError, Mark, Marks, decode, marks_subject, parse_up

log = get_logger("rimward.hub")

BATCH = 64  # envelopes in one commit
RETRY = 0.25  # seconds between connections
BROKEN = (OSError, nats.errors.Error, nats.js.errors.Error, TimeoutError)


class Hub:
    """One region's ingest and cloud functions, until it is stopped."""

    def __init__(self, config: HubConfig, now: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._now = now
        self._data = Path(config.data)
        self._manifest = manifests.decode(Path(config.manifest).read_bytes())
        self._ingest = Ingest(self._data / "lake", self._manifest.facts, now)
        self._db = connect(self._data / "hub" / "hub.db")
        self._marks: dict[str, dict[str, Mark]] = {}
        self._poked = asyncio.Event()

    async def run(self) -> None:
        """Ingest, and start over whenever the bus breaks."""
        async with asyncio.TaskGroup() as tasks:
            if any(function.layer == "cloud" for function in self._manifest.functions):
                tasks.create_task(self._work())
            while True:
                try:
                    await self._session()
                except BROKEN as error:
                    log.info("ingest starts over", error=type(error).__name__)
                await asyncio.sleep(RETRY)

    async def _session(self) -> None:
        config, client = self._config, Client()
        await client.connect(
            config.bus_url,
            user=config.user,
            password=config.password,
            allow_reconnect=False,
            connect_timeout=2,
        )
        try:
            js = client.jetstream()
            await self._ensure_stream(js)
            consumer = ConsumerConfig(ack_wait=30, max_ack_pending=4 * BATCH)
            pull = await js.pull_subscribe(
                f"up.{config.region}.>", durable="ingest", stream="UP", config=consumer
            )
            announced = 0.0
            while client.is_connected:
                messages: list[Msg] = []
                with contextlib.suppress(TimeoutError, nats.errors.TimeoutError):
                    messages = await pull.fetch(BATCH, timeout=0.5)
                if messages:
                    await self._take(client, messages)
                    await asyncio.sleep(config.gather)
                if time.monotonic() - announced > 0.5:
                    announced = time.monotonic() + random.uniform(0, 0.3)  # noqa: S311 (spread, not secret)
                    await self._announce(client)
        finally:
            with contextlib.suppress(*BROKEN):
                await asyncio.wait_for(client.close(), 2)

    async def _ensure_stream(self, js: JetStreamContext) -> None:
        stream = StreamConfig(
            name="UP",
            subjects=[f"up.{self._config.region}.>"],
            discard=DiscardPolicy.NEW,
            max_age=7 * 86_400,
            max_bytes=self._config.stream_bytes,
            duplicate_window=120,
            allow_direct=True,
        )
        try:
            await js.add_stream(stream)
        except nats.js.errors.BadRequestError:  # it is there with other limits
            await js.update_stream(stream)

    async def _take(self, client: Client, messages: list[Msg]) -> None:
        by_fact: dict[str, list[Envelope]] = {}
        for message in messages:
            try:
                _, lane = parse_up(message.subject)
                header, rows = decode(message.data)
            except (ValueError, EnvelopeError) as error:
                self._count("poison")
                log.warning("an envelope can't be read", subject=message.subject, error=str(error))
                continue
            if not self._ingest.knows(lane.fact):
                self._count("unknown_fact")
                continue
            by_fact.setdefault(lane.fact, []).append(Envelope(lane, header, rows, self._now()))
        for fact, envelopes in by_fact.items():
            outcome = await asyncio.to_thread(self._ingest.take, fact, envelopes)
            self._log(envelopes, outcome)
        for message in messages:
            await message.ack()
        await self._announce(client)
        self._poked.set()

    def _log(self, envelopes: list[Envelope], outcome: Outcome) -> None:
        committed = self._now()
        self._db.execute("begin")
        for one in envelopes:
            lane, header = one.lane, one.header
            self._db.execute(
                "insert or ignore into envelope values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (lane.node, lane.epoch.counter, lane.epoch.nonce, lane.fact, header.first, header.last,
                 header.sealed_at, one.received_at, committed, outcome.version),
            )  # fmt: skip
        for name in ("stored", "dead", "duplicates", "gaps"):
            self._add(name, getattr(outcome, name))
        if random.random() < 0.01:  # noqa: S311 (now and then)
            self._db.execute(
                "delete from envelope where committed_at < (select committed_at from envelope "
                "order by committed_at desc limit 1 offset ?)",
                (ENVELOPES_KEPT,),
            )
        self._db.execute("commit")
        for node, mark in outcome.marks:
            self._marks.setdefault(node, {})[mark.fact] = mark

    def _count(self, name: str) -> None:
        self._add(name, 1)

    def _add(self, name: str, value: int) -> None:
        self._db.execute(
            "insert into counter values (?, ?) "
            "on conflict (name) do update set value = value + excluded.value",
            (name, value),
        )

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
