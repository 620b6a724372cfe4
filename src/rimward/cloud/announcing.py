"""Committed rows as CloudEvents on the hub's bus: core NATS in binary mode, at most once.

Ingest hands rows over after their commit and goes on at once: what does not fit into the queue is dropped
and counted, and whatever breaks here breaks here alone. The lake has every row; this is news of it.
"""

import asyncio
import contextlib
import hashlib
from collections import Counter, deque
from typing import Any, NamedTuple

import msgspec
import nats.errors
from nats.aio.client import Client

from rimward.app.manifest import FactSpec, Manifest
from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import connect
from rimward.events import CloudEvent, CloudEventError, format_traceparent
from rimward.events.cloudevents import to_nats
from rimward.network.bus import hang_up
from rimward.network.heeding import heed_cancellation
from rimward.observe import Logger, get_logger
from rimward.wire import fact_subject

log: Logger = get_logger("rimward.hub")

MAX_ROWS = 65_536  # that wait; more are dropped
PIECE = 256  # rows that are published before others get their turn
RETRY = 0.5  # seconds between connections
BROKEN = (OSError, nats.errors.Error, TimeoutError)


class _Batch(NamedTuple):
    spec: FactSpec
    rows: Any  # an Arrow table


class Announcer:
    """Publishes what a hub has committed, on a connection of its own."""

    def __init__(self, config: HubConfig, manifest: Manifest) -> None:
        self._counts: Counter[str] = Counter()
        self._config = config
        self._app = manifest.app
        self._facts = {
            spec.table: spec for spec in manifest.facts if spec.locality in {None, config.region}
        }  # a fact that must not leave its region is told in that region alone
        self._batches: deque[_Batch] = deque()
        self._waiting = 0  # rows
        self._news = asyncio.Event()

    def offer(self, fact: str, rows: Any) -> None:
        """Take committed rows, an Arrow table; never blocks, never raises."""
        spec = self._facts.get(fact)
        if spec is None or rows is None or not rows.num_rows:
            return
        if self._waiting + rows.num_rows > MAX_ROWS:
            self._drop(rows.num_rows)
            return
        self._batches.append(_Batch(spec, rows))
        self._waiting += rows.num_rows
        self._news.set()

    def take_counts(self) -> Counter[str]:
        """Return what was counted since the last call."""
        counts, self._counts = self._counts, Counter()
        return counts

    async def run(self) -> None:
        """Publish what was offered, and connect anew whenever the bus breaks."""
        while True:
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 (whatever it is, ingest must go on)
                log.info("events start over", error=type(error).__name__)
            heed_cancellation()
            await asyncio.sleep(RETRY)

    async def _session(self) -> None:
        client = await connect(self._config)
        try:
            while client.is_connected:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await self._news.wait()
                self._news.clear()
                while self._batches and client.is_connected:
                    await self._publish(client, self._batches.popleft())
        finally:
            await hang_up(client)

    async def _publish(self, client: Client, batch: _Batch) -> None:
        """Publish one commit's rows of a fact; those that a broken connection takes along are dropped."""
        left, told = batch.rows.num_rows, 0
        self._waiting -= left
        subject = fact_subject(self._config.region, batch.spec.table)
        try:
            for piece in batch.rows.to_batches(max_chunksize=PIECE):
                for event in await asyncio.to_thread(self._events, batch.spec, piece):
                    carried = to_nats(event)
                    with contextlib.suppress(nats.errors.MaxPayloadError):  # it is counted below
                        await client.publish(subject, carried.body, headers=carried.fields)
                        told += 1
                await client.flush(timeout=2)
                heed_cancellation()
                self._counts["events_published"] += told
                left, told = left - told, 0
        finally:
            self._drop(left)

    def _events(self, spec: FactSpec, rows: Any) -> list[CloudEvent]:
        """Return rows as events, but for those that can't be one: a node may write anything."""
        events: list[CloudEvent] = []
        for row in rows.to_pylist():
            with contextlib.suppress(CloudEventError):
                events.append(event_of(self._app, spec, row))
        return events

    def _drop(self, rows: int) -> None:
        if rows:
            self._counts["events_dropped"] += rows
            log.warning("rows were committed and not told as events", rows=rows)


def event_of(app: str, spec: FactSpec, row: dict[str, Any]) -> CloudEvent:
    """Return a row of the lake as an event; its data are the fact's fields, its id is the row's identity."""
    identity = f"{row['_node']}/{row['_epoch']}/{spec.table}/{row['_seq']}"
    extensions: dict[str, str | int | bool] = {"sequence": f"{row['_seq']:013}"}
    if row["_trace"] is not None:
        span = hashlib.sha256(identity.encode()).hexdigest()[:16]
        extensions["traceparent"] = format_traceparent(row["_trace"], span)
    fields = {
        column.name: _json(row[column.name]) if column.type == "json" else row[column.name]
        for column in spec.columns
    }
    return CloudEvent(
        id=identity,
        source=f"//{row['_site']}/{row['_node']}",
        type=f"{app}.{spec.table}.v1",
        time=row["_time"],
        datacontenttype="application/json",
        extensions=extensions,
        data=msgspec.json.encode(fields),
    )


def _json(text: str | None) -> Any:
    """Return the value of a JSON column; text that is none stays text."""
    try:
        return None if text is None else msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
