"""A hub on a real bus, in the test's own loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.natsbus import Bus

from rimward.app.manifest import FactSpec, Manifest
from rimward.app.manifest import encode as encode_manifest
from rimward.cloud.config import HubConfig
from rimward.cloud.hub import Hub


@asynccontextmanager
async def hub(
    bus: Bus, folder: Path, *facts: FactSpec, lane_messages: int = 16_384, events: bool = False
) -> AsyncGenerator[Hub]:
    manifest = folder / "manifest.json"
    await asyncio.to_thread(manifest.write_bytes, encode_manifest(Manifest("a", "", "", "", facts, ())))
    user = bus.users["hub"]
    config = HubConfig(
        data=str(folder), manifest=str(manifest), app="", bus_url=bus.url, user=user.user,
        password=user.password, gather=0.01, lane_messages=lane_messages, events=events,
    )  # fmt: skip
    running = await asyncio.to_thread(Hub, config)
    task = asyncio.get_running_loop().create_task(running.run())
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        running.close()
