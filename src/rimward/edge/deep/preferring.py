"""The way back to the bus that comes first, from one that was only second best."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from rimward.edge.deep.link import Link
from rimward.network.ways import Ways

EVERY = 300.0  # seconds
ANSWER = 5.0  # seconds that a bus has to say something
PORT = 4222


class Preferring:
    """Looks whether the best address answers again."""

    def __init__(self, ways: Ways, every: float = EVERY) -> None:
        self._ways = ways
        self._every = every

    async def run(self, link: Link) -> None:
        """Look until the connection ends; one to the best bus is left alone.

        Raises:
            ConnectionError: the best bus answers.
        """
        while link.rank:
            await asyncio.sleep(self._every)
            if await answers(self._ways.urls[0]):
                raise ConnectionError("the preferred bus is there again")


async def answers(url: str) -> bool:
    """Tell whether somebody takes connections at an address."""
    parts = urlsplit(url)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or PORT)
            writer.close()
            return True
    return False
