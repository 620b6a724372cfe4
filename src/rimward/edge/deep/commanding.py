# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""The node's questions for commands: at every connection, every few seconds, and whenever the hub hints."""

import asyncio
import contextlib
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import nats.errors
from nats.aio.msg import Msg

from rimward.edge.commands.file import Boot, CommandFile
from rimward.edge.commands.keys import SPACE, STORE, Kept
from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.link import Link
from rimward.edge.kernel import boot_id, boottime
from rimward.network.heeding import heed_cancellation
from rimward.observe import Logger, get_logger
from rimward.observe.threads import in_thread
from rimward.wire.commands import Commands, Wanted, commands_subject, hint_subject

log: Logger = get_logger("rimward.deep")

EVERY = 5.0  # seconds between questions without a hint; half to one and a half of it
ANSWER = 2.0  # seconds that the hub has for its answer


class Asking:
    """One node's commands, without a bus: what it asks, and what it makes of the answer."""

    def __init__(self, folder: Path, boot: Boot) -> None:
        """`folder` is the node's."""
        self._outbox = folder / "outbox.db"
        self._boot = boot
        self._asked = 0
        self._store = ""
        self.file: CommandFile = CommandFile(folder, boot)

    def wanted(self) -> Wanted | None:
        """Return the question; None while nobody here carries commands out."""
        keys = self._keys()
        if STORE not in keys:
            return None
        self._store = keys.pop(STORE).decode()
        over = [key for key, value in keys.items() if not msgspec.msgpack.decode(value, type=Kept).begun]
        self.file.prune(over)
        self._asked = self._boot.now()
        return self.file.wanted(self._store)

    def take(self, answer: Commands) -> int:
        """Keep what the hub gave, and return how many are new."""
        return self.file.take(answer, self._store, self._asked)

    def _keys(self) -> dict[str, bytes]:
        """Return the keys that the I/O process has on disk."""
        try:
            db = sqlite3.connect(f"file:{self._outbox}?mode=ro", uri=True, isolation_level=None)
        except sqlite3.Error:
            return {}
        with closing(db):
            return dict(db.execute("select key, value from cell where space = ?", (SPACE,)))


class Commanding:
    """A part of a connection."""

    def __init__(self, config: DeepConfig) -> None:
        self._config = config
        self._folder = Path(config.data) / "node"
        self._asking: Asking | None = None
        self._hinted = asyncio.Event()

    async def run(self, link: Link) -> None:
        """Ask until the connection ends."""
        config = self._config
        if self._asking is None:
            self._asking = await in_thread(self._open)
        await link.client.subscribe(hint_subject(config.node), cb=self._hint)
        while True:
            self._hinted.clear()
            if await self._ask(link, self._asking):
                continue
            with contextlib.suppress(TimeoutError):
                pause = EVERY * (0.5 + random.random())  # noqa: S311 (so that nodes don't ask at once)
                async with asyncio.timeout(pause):
                    await self._hinted.wait()

    def _open(self) -> Asking:
        return Asking(self._folder, Boot(boot_id(), boottime))

    async def _hint(self, _: Msg) -> None:
        self._hinted.set()

    async def _ask(self, link: Link, asking: Asking) -> bool:
        """Ask once; return whether there is more."""
        wanted = await in_thread(asking.wanted)
        if wanted is None:
            return False
        try:
            subject = commands_subject(self._config.region, self._config.node)
            answer = await link.client.request(subject, wanted.encode(), timeout=ANSWER)
            heed_cancellation()
            commands = Commands.decode(answer.data)
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
            return False  # an older hub, or a busy one
        except ValueError as error:
            log.warning("the hub's commands can't be read", error=str(error))
            return False
        fresh = await in_thread(asking.take, commands)
        return commands.more and fresh > 0
