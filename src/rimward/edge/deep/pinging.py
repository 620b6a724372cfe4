"""The round trip to the bus, and the end of connections that carry nothing any more."""

import asyncio
import time

import nats.errors

from rimward.edge.deep.link import Link
from rimward.edge.deep.outgoing import Outgoing
from rimward.network.liveness import PATIENCE, Liveness

EVERY = 1.0  # seconds between an answer and the next question
LOOK = 0.5  # seconds between looks at what waits for the link


class Pinging:
    """Asks all the time, so that an answer is always due."""

    def __init__(self, out: Outgoing) -> None:
        self._out = out

    async def run(self, link: Link) -> None:
        """Measure until the connection ends, by itself or because it is dead."""
        liveness = Liveness(time.monotonic())
        while True:
            await self._ask(link, liveness)
            await asyncio.sleep(EVERY)

    async def _ask(self, link: Link, liveness: Liveness) -> None:
        """Ask once and wait for the answer for as long as the link may take.

        Raises:
            ConnectionError: nothing comes back.
        """
        out, before = self._out, time.monotonic()
        answer = asyncio.ensure_future(link.client.flush(timeout=round(2 * PATIENCE)))
        answered, acks, now = False, out.core.answers, before
        try:
            while not answered:
                done, _ = await asyncio.wait({answer}, timeout=LOOK)
                now, answered = time.monotonic(), bool(done)
                if answered or out.core.answers != acks:
                    acks = out.core.answers
                    liveness.heard(now)
                liveness.queued(link.queued(), now)
                if liveness.dead(now):
                    out.path.lost()
                    raise ConnectionError("nothing comes back")
            answer.result()
        except (nats.errors.Error, TimeoutError):
            out.path.lost()
            raise
        finally:
            answer.cancel()
        out.path.measured(now - before)
