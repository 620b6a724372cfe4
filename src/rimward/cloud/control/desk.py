"""Where nodes are let in: the book of nodes, and a bus that is brought to what the book says.

The bus follows the book, whoever changed it: the configuration is written from it and the bus told to read it
again, until it says that it did. Connections of nodes that stay are not touched by that.
"""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import nats.errors

from rimward.cloud.bus import users_of
from rimward.cloud.control.config import ControlConfig
from rimward.cloud.control.enrolment import Enrolments, JoinRefused
from rimward.network import bus
from rimward.network.nkeys import NoKey
from rimward.network.secretfile import write_secret
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.observe.threads import in_thread
from rimward.wire.joining import JoinReply, JoinRequest

log: Logger = get_logger("rimward.enrol")

LOOK = 1.0  # seconds between two looks at the book
ANSWER = 2.0  # seconds that the bus has to answer
PING, RELOAD = "$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.{}.RELOAD"
BROKEN = (OSError, nats.errors.Error, TimeoutError, NoKey, ValueError)


class Desk:
    """One hub's enrolment."""

    def __init__(self, config: ControlConfig, enrolments: Enrolments) -> None:
        self._config = config
        self._enrolments = enrolments
        self._turn = asyncio.Lock()  # the book is one connection to one file
        self._applied: tuple[int, int] | None = None
        self._keys: dict[str, str] | None = None  # that the bus knows
        self.refused: Counter[str] = Counter()  # joins, by reason

    async def join(self, request: JoinRequest) -> JoinReply:
        """Let a node in; the bus knows it when this returns, or as soon as the bus can be reached.

        Raises:
            JoinRefused: it may not come in.
            sqlite3.Error: the disk refused it.
        """
        config = self._config
        authority = await asyncio.to_thread(Path(config.authority).read_text) if config.authority else ""
        try:
            async with self._turn:
                node = await in_thread(self._enrolments.join, request)
        except JoinRefused as refusal:
            self.refused[refusal.why] += 1
            log.warning("a node was not let in", why=refusal.why, refused=self.refused.total())
            raise
        log.info("a node was let in", node=node.name, site=node.site)
        await self.apply()
        reach("enrol.signed")
        return JoinReply(node.name, node.site, config.region, config.bus, authority, config.tls_first)

    async def run(self) -> None:
        """Bring the bus to what the book says, again and again: `rimward hub revoke` changes it too."""
        while True:
            await self.apply()
            await asyncio.sleep(LOOK)

    async def apply(self) -> bool:
        """Bring the bus to what the book says now; False: it could not be told yet."""
        async with self._turn:
            version = await in_thread(self._enrolments.version)
            if version == self._applied:
                return True
            nodes = await in_thread(self._enrolments.nodes)
            keys = {node.name: node.key for node in nodes}
            try:
                if keys != self._keys:
                    await in_thread(self._write, keys)
                    if self._config.system is not None:
                        await self._reload(self._config.system)
            except BROKEN as error:
                log.warning("the bus does not know all nodes yet", error=f"{type(error).__name__}: {error}")
                return False
            self._applied, self._keys = version, keys
            return True

    def _write(self, keys: dict[str, str]) -> None:
        if (own := self._config.own) is not None:
            own.write(keys)
            return
        users = json.dumps({"users": users_of(self._config.region, keys)}, indent=1)
        write_secret(Path(self._config.data) / "hub" / "nodes.conf", users.encode())

    async def _reload(self, access: bus.BusAccess) -> None:
        client = await bus.connect(access, error_cb=_quiet)
        try:
            server = msgspec.json.decode((await client.request(PING, timeout=ANSWER)).data)["server"]["id"]
            answer: dict[str, Any] = msgspec.json.decode(
                (await client.request(RELOAD.format(server), timeout=ANSWER)).data
            )
            if "error" in answer:
                raise ValueError(f"the bus refused its configuration: {answer['error']}")
        finally:
            await bus.hang_up(client)


async def _quiet(error: Exception) -> None:
    """The caller hears of a broken connection by its request."""
    log.debug("the bus's client says", error=str(error))
