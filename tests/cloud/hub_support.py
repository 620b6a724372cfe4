"""A hub and its ingest on a real bus, in the test's own loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e.natsbus import Bus

from rimward.app.manifest import FactSpec, Manifest
from rimward.app.manifest import encode as encode_manifest
from rimward.cloud.config import HubConfig
from rimward.cloud.hub import Hub
from rimward.cloud.ingest.ingesting import Ingesting
from rimward.cloud.ingest.taking import Taking


@asynccontextmanager
async def hub(
    bus: Bus, folder: Path, *facts: FactSpec, lane_messages: int = 16_384, events: bool = False
) -> AsyncGenerator[Taking]:
    manifest = folder / "manifest.json"
    await asyncio.to_thread(manifest.write_bytes, encode_manifest(Manifest("a", "", "", "", facts, ())))
    user = bus.users["hub"]
    config = HubConfig(
        data=str(folder), manifest=str(manifest), app="", bus_url=bus.url, user=user.user,
        password=user.password, gather=0.01, lane_messages=lane_messages, events=events,
    )  # fmt: skip
    ingesting = await asyncio.to_thread(Ingesting, config)
    tasks = [asyncio.create_task(part.run()) for part in (ingesting, await asyncio.to_thread(Hub, config))]
    try:
        yield ingesting.taking
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ingesting.close()
