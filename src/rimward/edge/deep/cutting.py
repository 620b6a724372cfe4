"""The uplink cut on purpose, as `rimward fault uplink` asks: no connection lasts, and none is made."""

import asyncio

from rimward.edge.deep.link import Link
from rimward.observe.faults import LOOK, Faults


class Cutting:
    """Ends the connection when the fault begins, and holds the next one back until it is over."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def run(self, link: Link) -> None:
        """Watch over a connection."""
        while not await self._on():  # noqa: ASYNC110 (a file, which another process writes)
            await asyncio.sleep(LOOK)
        link.drop("it was cut on purpose: rimward fault uplink")

    async def over(self) -> None:
        """Wait until no fault is on."""
        while await self._on():  # noqa: ASYNC110 (as above)
            await asyncio.sleep(LOOK)

    async def _on(self) -> bool:
        return await asyncio.to_thread(self._faults.get, "uplink") is not None
