# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""Envelopes off the bus, share by share: a process pulls those of the nodes that it has a lease for."""

import asyncio
import contextlib
import random
import time

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.kv import KeyValue

from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import connect
from rimward.cloud.ingest.buckets import share_of
from rimward.cloud.ingest.draining import Draining
from rimward.cloud.ingest.leases import BEAT, Leases
from rimward.cloud.ingest.pacing import Pacing
from rimward.cloud.ingest.taking import Taking
from rimward.cloud.streams import consumer, ensure_consumers, ensure_streams
from rimward.network.bus import hang_up
from rimward.network.heeding import finish, heed_cancellation
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.wire import PRIORITIES, Hello, stream

log: Logger = get_logger("rimward.ingest")

BATCH = 128  # envelopes of one fetch
ANNOUNCE = 0.5  # seconds between two repeats of the marks, and up to half as much again
LOOK = 5.0  # seconds between two looks at what others did to the lake


class Pulling:
    """Holds leases and pulls."""

    def __init__(self, config: HubConfig, taking: Taking, share: int = 0) -> None:
        """`share` is the one that this process is for."""
        self._config = config
        self._taking = taking
        self._pacing = Pacing()
        self.leases: Leases = Leases(share, config.ingest_processes, time.monotonic)

    async def run(self) -> None:
        """Pull until the connection ends.

        Raises:
            LakeBroken: an fsync failed; only a new start may look at the lake again.
        """
        client = await connect(self._config)
        async with asyncio.TaskGroup() as tasks:
            bucket: KeyValue | None = None
            try:
                js = client.jetstream()
                await ensure_streams(js, self._config)
                await ensure_consumers(js, self._config)
                bucket = await self.leases.open(js)
                await client.subscribe(f"up.{self._config.region}.*.hello", cb=self._heard)
                kept = [
                    tasks.create_task(self._keep(client, bucket)),
                    tasks.create_task(self._look(client)),
                    tasks.create_task(self._tell(client)),
                ]
                await asyncio.wait(kept, return_when=asyncio.FIRST_COMPLETED)
                for task in kept:
                    task.cancel()
            finally:  # before the tasks are awaited: their client may swallow a cancellation
                if bucket is not None:
                    await finish(self.leases.release(bucket), 1)
                await hang_up(client)

    async def _tell(self, client: Client) -> None:
        while client.is_connected:
            await self._taking.announce(client, pace=self._pacing.pace())
            heed_cancellation()
            await asyncio.sleep(ANNOUNCE * random.uniform(1, 1.5))  # noqa: S311 (spread, not secret)

    async def _look(self, client: Client) -> None:
        while client.is_connected:
            await asyncio.sleep(LOOK)
            await self._taking.look()
            heed_cancellation()

    async def _keep(self, client: Client, bucket: KeyValue) -> None:
        """Renew the leases, and pull for each that is held."""
        pulls: dict[int, asyncio.Task[None]] = {}
        try:
            while client.is_connected and not any(pull.done() for pull in pulls.values()):
                await self.leases.beat(bucket)
                held = self.leases.held
                for share in pulls.keys() - held:
                    pulls.pop(share).cancel()
                for share in held - pulls.keys():
                    await self._taking.look(afresh=True)  # another one has written since
                    pulls[share] = asyncio.create_task(self._share(client, share))
                heed_cancellation()
                await asyncio.sleep(BEAT)
        finally:
            for pull in pulls.values():
                pull.cancel()
            ended = await asyncio.gather(*pulls.values(), return_exceptions=True)
        for end in ended:
            if isinstance(end, Exception):
                raise end

    async def _share(self, client: Client, share: int) -> None:
        """Pull one share's envelopes of every priority and commit them, until the lease ends."""
        drain = Draining(client, self._taking, self._config.gather, self._pacing)
        async with asyncio.TaskGroup() as tasks:
            for priority in PRIORITIES:
                tasks.create_task(self._pull(client, drain, priority, share))
            tasks.create_task(drain.run())

    async def _pull(self, client: Client, drain: Draining, priority: str, share: int) -> None:
        """Take one share's envelopes of one priority until the connection ends, or the lease."""
        durable = consumer(share, self._config.ingest_processes)
        pull = await client.jetstream().pull_subscribe_bind(durable=durable, stream=stream(priority))
        while client.is_connected:
            room = await drain.room(priority)
            messages: list[Msg] = []
            with contextlib.suppress(TimeoutError, nats.errors.TimeoutError):
                messages = await pull.fetch(min(BATCH, room), timeout=0.5)
            heed_cancellation()
            if messages:
                reach("ingest.fetched")
                await drain.offer(priority, messages)

    async def _heard(self, message: Msg) -> None:
        """Answer a node's hello, if its share is this process's."""
        try:
            hello = Hello.decode(message.data)
        except ValueError as error:
            log.warning("a hello can't be read", subject=message.subject, error=str(error))
            return
        node = message.subject.split(".")[2]
        if hello.node != node or share_of(node, self._config.ingest_processes) not in self.leases.held:
            return
        answer = await self._taking.welcome(hello)
        if message.reply:
            await message.respond(answer.encode())
