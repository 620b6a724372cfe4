# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""The process that runs the cloud functions, kept by the hub and poked after each commit."""

import asyncio
import contextlib
import sys

from nats.aio.msg import Msg

from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import committed_subject, connect
from rimward.cloud.parts import again
from rimward.network.bus import hang_up
from rimward.network.heeding import heed_cancellation
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.hub")

LOOK = 1.0  # seconds after which the functions look for rows even if nobody has told of any


class Functions:
    """Keeps a process that runs the cloud functions."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config
        self._poked = asyncio.Event()

    async def run(self) -> None:
        """Keep it, and listen for commits."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(again("commits", self._listen))
            tasks.create_task(again("functions", self._work))

    async def _listen(self) -> None:
        """Hear of commits until the connection breaks."""
        client = await connect(self._config)
        try:
            await client.subscribe(committed_subject(self._config.region), cb=self._heard)
            while client.is_connected:
                heed_cancellation()
                await asyncio.sleep(LOOK)
        finally:
            await hang_up(client)

    async def _heard(self, _: Msg) -> None:
        self._poked.set()

    async def _work(self) -> None:
        """Poke one process until it dies."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rimward.cloud.functions.worker", self._config.app, self._config.data,
            stdin=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            while process.returncode is None:
                process.stdin.write(b"\n")
                await process.stdin.drain()
                self._poked.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._poked.wait()
        except OSError:
            log.warning("the cloud functions' process died")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.sleep(1)
