"""Recording what comes into a Site, as a node records itself."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from rimward.edge.recording.recording import Doors, Recording
from rimward.edge.recording.wish import RecordingConfig, Wish, ask, path_of, withdraw
from rimward.testing import Site
from rimward.wire.recording import Line, decode


class Taped:
    """A recording of a Site."""

    def __init__(self, site: Site, config: RecordingConfig) -> None:
        doors = Doors(site.node.mqtt, site.node.http)
        self.path: Path = path_of(site.folder, "one")
        self.recording: Recording = Recording(
            site.app, site.node.dispatcher, doors, site.folder, config, site.clock.wall
        )

    @property
    def lines(self) -> list[Line]:
        with self.path.open("rb") as file:
            return list(decode(file))


@asynccontextmanager
async def taped(site: Site, config: RecordingConfig | None = None, **wish: Any) -> AsyncGenerator[Taped]:
    """Record a Site inside the block."""
    found = Taped(site, config or RecordingConfig())
    wanted = replace(Wish("one", site.clock.wall() + 10**15, 1 << 24), **wish)
    await asyncio.to_thread(ask, site.folder, wanted)
    await found.recording.look()
    yield found
    await asyncio.to_thread(withdraw, site.folder)
    await found.recording.look()
