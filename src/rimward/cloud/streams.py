# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""The bus's streams: whoever finds them missing makes them."""

import asyncio
import contextlib

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StreamConfig

from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import connect
from rimward.cloud.heeding import heed_cancellation
from rimward.cloud.parts import BROKEN
from rimward.wire import PRIORITIES, stream, stream_subject

LOOK = 5.0  # seconds between two looks at the streams


class Streams:
    """Keeps the streams there, so that nodes can upload while nobody ingests."""

    def __init__(self, config: HubConfig) -> None:
        self._config = config

    async def run(self) -> None:
        """Look at them until the connection breaks."""
        client = await connect(self._config)
        try:
            while client.is_connected:
                await ensure_streams(client.jetstream(), self._config)
                heed_cancellation()
                await asyncio.sleep(LOOK)
        finally:
            with contextlib.suppress(*BROKEN):
                await asyncio.wait_for(client.close(), 2)


async def ensure_streams(js: JetStreamContext, config: HubConfig) -> None:
    """Make every priority's stream, or give it the limits that the configuration says."""
    for priority in PRIORITIES:
        await _ensure(js, config, priority)


async def _ensure(js: JetStreamContext, config: HubConfig, priority: str) -> None:
    """Make a priority's stream: what is acknowledged, because the lake has it, leaves it at once."""
    wanted = StreamConfig(
        name=stream(priority),
        subjects=[stream_subject(config.region, priority)],
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        max_bytes=config.stream_bytes,
        max_msgs_per_subject=config.lane_messages,
        discard_new_per_subject=True,
        duplicate_window=120,
        allow_direct=True,
    )
    try:
        await js.add_stream(wanted)
    except nats.js.errors.BadRequestError:  # it is there with other limits
        await js.update_stream(wanted)
