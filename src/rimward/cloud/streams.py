# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""The bus's streams: whoever finds them missing makes them."""

import asyncio

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StreamConfig,
    SubjectTransform,
)

from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import connect
from rimward.cloud.ingest.buckets import filters, transform
from rimward.network.bus import hang_up
from rimward.network.heeding import heed_cancellation
from rimward.wire import PRIORITIES, stream, stream_subject

PENDING = (
    4096  # envelopes that a consumer hands out before any is acknowledged: those of several dead processes
)
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
            await hang_up(client)


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
        subject_transform=SubjectTransform(*transform(config.region, priority)),
    )
    try:
        await js.add_stream(wanted)
    except nats.js.errors.BadRequestError:  # it is there with other limits
        before = await js.stream_info(stream(priority))
        await js.update_stream(wanted)
        if before.config.subject_transform is None:
            # Of a hub before buckets: what lies there has no bucket, and every row of it is in an outbox yet.
            await js.purge_stream(stream(priority))


def consumer(share: int, shares: int) -> str:
    """Return the name of a share's consumer in each stream."""
    return f"ingest-{share}-of-{shares}"


async def ensure_consumers(js: JetStreamContext, config: HubConfig) -> None:
    """Make every share's consumers, and remove those of another number of shares: none may overlap."""
    shares = config.ingest_processes
    for priority in PRIORITIES:
        name = stream(priority)
        wanted = {consumer(share, shares): share for share in range(shares)}
        for info in await js.consumers_info(name):
            if info.name not in wanted:
                await js.delete_consumer(name, info.name)
        for durable, share in wanted.items():
            await js.add_consumer(
                name,
                ConsumerConfig(
                    durable_name=durable,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=30,
                    max_ack_pending=PENDING,
                    filter_subjects=filters(config.region, priority, share, shares),
                ),
            )
