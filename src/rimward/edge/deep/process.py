"""The deep process: reads the outbox, sends envelopes, and writes down how far the lake is.

A shell: what is sent when is the uplink's core's (`rimward.network.uplink`), what goes on while there is a
connection are its parts.
"""

import asyncio
import random
import re
import sqlite3
from pathlib import Path

import nats.errors

from rimward.edge.deep.commanding import Commanding
from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.cutting import Cutting
from rimward.edge.deep.greeting import Greeting
from rimward.edge.deep.hearing import Hearing
from rimward.edge.deep.link import Link, OnError, Part, attend
from rimward.edge.deep.outgoing import Outgoing
from rimward.edge.deep.pinging import Pinging
from rimward.edge.deep.preferring import Preferring
from rimward.edge.deep.sending import Sending
from rimward.edge.deep.status import Status
from rimward.network.nkeys import NoKey
from rimward.network.ways import Ways
from rimward.observe import Logger, get_logger
from rimward.observe.faults import Faults

log: Logger = get_logger("rimward.deep")

BROKEN = (OSError, nats.errors.Error, TimeoutError, sqlite3.Error, NoKey)
UNREACHABLE = (OSError, TimeoutError, nats.errors.NoServersError, nats.errors.TimeoutError)
LOCAL = 0.5  # seconds until the outbox is looked for again: its node may only be starting
_DENIED = re.compile(r'permissions violation for (\w+) to "?([^"\s]+)', re.IGNORECASE)


class DeepProcess:
    """One node's deep path, until it is stopped."""

    def __init__(self, config: DeepConfig) -> None:
        self.out: Outgoing = Outgoing(config)
        self._ways = Ways((config.bus_url, *config.bus_urls), random.random)
        self._status = Status(self.out)
        self._cutting = Cutting(Faults(Path(config.data)))
        self._forbidden = False
        self.parts: tuple[Part, ...] = (
            self._cutting,
            Hearing(self.out),
            Greeting(self.out, self._ways),
            Pinging(self.out),
            Preferring(self._ways),
            Sending(self.out, self._ways),
            Commanding(config),
        )

    async def run(self) -> None:
        """Connect, send, and start over whenever something breaks."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._status.run())
            while True:
                await self._cutting.over()
                pause = await self._session()
                await asyncio.sleep(pause)

    async def _session(self) -> float:
        """Connect and send until that breaks; return the seconds to wait before the next try."""
        ways, link = self._ways, Link(self._ways.url, self._ways.rank)
        self._forbidden, unreachable, local = False, False, False
        self.out.gate.clear()
        try:
            self.out.open()
            await link.open(self.out.config, self._on_error(link))
            self.out.path.up = True
            await attend(link, self.parts)
        except* BROKEN as group:
            error = _first(group)
            self.out.counts[type(error).__name__] += 1
            log.info("the uplink starts over", error=type(error).__name__, why=link.why or str(error))
            local = isinstance(error, sqlite3.Error)
            unreachable = isinstance(error, UNREACHABLE) and not link.opened
        finally:
            self.out.path.up = False
            self._status.write()
            await link.close()
        if self._forbidden:
            return ways.forbidden()
        if local:
            return LOCAL
        return ways.unreachable() if unreachable else ways.broke()

    def _on_error(self, link: Link) -> OnError:
        async def heard(error: Exception) -> None:
            self._bus_error(link, error)

        return heard

    def _bus_error(self, link: Link, error: Exception) -> None:
        """Hear of what the bus says beside its answers: a right that is missing is told in no other way."""
        denied = _DENIED.search(str(error))
        if isinstance(error, nats.errors.AuthorizationError) or "authorization" in str(error).lower():
            self._forbidden = True
            self.out.counts["authorization"] += 1
            log.error("the bus does not let this node in", error=str(error))
        elif denied is not None:
            self.out.counts["permissions"] += 1
            self.out.denied = denied[2]
            log.error("the bus refuses this node a subject", subject=denied[2], what=denied[1])
            if denied[1].lower() == "publish" and self.out.uploads(denied[2]):
                self._forbidden = True
                link.drop(f"the bus refuses {denied[2]}")


def _first(error: BaseException) -> BaseException:
    """Return one of the errors that ended a session; they tell the same."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _first(inner[0]) if inner else error
