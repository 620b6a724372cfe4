# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""One share's envelopes from the bus into the lake: they wait in a queue, and go table by table."""

import asyncio
import contextlib
import time

from nats.aio.client import Client
from nats.aio.msg import Msg

from rimward.cloud.ingest.pacing import Pacing
from rimward.cloud.ingest.queueing import Queue
from rimward.cloud.ingest.reading import Arrival
from rimward.cloud.ingest.taking import Taking
from rimward.network.heeding import finish, heed_cancellation

IDLE = 0.5  # seconds after which it looks whether the connection is still there
TELL = 0.05  # seconds between two announcements while commits follow each other
AGAIN = 1.0  # seconds after which the bus brings again what could not be committed
GIVE_BACK = 1.0  # seconds for what was not committed to go back to the bus at the end


class Draining:
    """Commits what is offered, fairly, until its connection ends."""

    def __init__(self, client: Client, taking: Taking, gather: float, pacing: Pacing) -> None:
        self._client = client
        self._taking = taking
        self._queue = Queue(gather, pacing)
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._untold: set[str] = set()  # nodes whose marks have moved since they were told
        self._told_at = 0.0

    async def room(self, priority: str) -> int:
        """Wait until there is room for envelopes of a priority, and return for how many."""
        while not (room := self._queue.room(priority)):
            self._room.clear()
            await self._room.wait()
        return room

    async def offer(self, priority: str, messages: list[Msg]) -> None:
        """Take messages that were pulled by a priority's stream."""
        for fact, arrivals in (await self._taking.read(messages)).items():
            self._queue.offer(fact, priority, arrivals)
        self._news.set()

    async def run(self) -> None:
        """Commit until the connection ends; what waits then goes back to the bus."""
        try:
            while self._client.is_connected:
                await self._step()
                heed_cancellation()
        finally:
            await finish(self._give_back(self._queue.drop_all(), None), GIVE_BACK)

    async def _step(self) -> None:
        self._news.clear()
        batch = self._queue.next(time.monotonic())
        if batch is None or time.monotonic() - self._told_at > TELL:
            await self._tell()
        if batch is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._queue.wait, IDLE)):
                    await self._news.wait()
            return
        self._room.set()
        begin = time.monotonic()
        nodes = await self._taking.take(*batch)
        end = time.monotonic()
        self._queue.done(batch, end - begin, end)
        if nodes is None:  # what follows of its lanes must not come before it
            await self._give_back([*batch[1], *self._queue.drop(batch[0])], AGAIN)
        else:
            self._untold |= nodes

    async def _tell(self) -> None:
        if self._untold:
            nodes, self._untold = self._untold, set()
            await self._taking.tell(self._client, nodes, self._queue.pacing.pace())
            self._told_at = time.monotonic()

    async def _give_back(self, arrivals: list[Arrival], delay: float | None) -> None:
        for arrival in arrivals:
            await arrival.message.nak(delay=delay)
