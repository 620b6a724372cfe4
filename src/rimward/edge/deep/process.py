# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow, deltalake, duckdb and nats ship partial types)
"""The deep process: reads the outbox, sends envelopes, and writes down how far the lake is."""

import asyncio
import contextlib
import os
import sqlite3
import time
from pathlib import Path as FilePath
from typing import Any

import msgspec
import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.reader import OutboxReader
from rimward.network.path import Path
from rimward.network.uplink import Segment, UplinkCore
from rimward.observe import get_logger
from rimward.wire import Epoch, Header, Lane, Mark, Marks, encode_raw, marks_subject, up_subject

log = get_logger("rimward.deep")

POLL = 0.02  # seconds between looks at the outbox
WINDOW = 16  # envelopes in flight
ACK = 2.0  # seconds that the bus has to acknowledge one
RETRY = 0.25  # seconds between connections


class DeepProcess:
    """One node's deep path, until it is stopped."""

    def __init__(self, config: DeepConfig) -> None:
        self._config = config
        self._folder = FilePath(config.data) / "node"
        self._core = UplinkCore(time.monotonic())
        self._path = Path("bus")
        self._boot = os.urandom(4).hex()
        self._marks: dict[str, Mark] = {}
        self._errors: dict[str, int] = {}
        self._reader: OutboxReader | None = None
        self._epochs: dict[int, Epoch] = {}

    async def run(self) -> None:
        """Connect, send, and start over whenever something breaks."""
        while True:
            try:
                await self._session()
            except (OSError, nats.errors.Error, TimeoutError, sqlite3.Error) as error:
                name = type(error).__name__
                self._errors[name] = self._errors.get(name, 0) + 1
                log.info("the uplink starts over", error=name)
            self._path.up = False
            self._core.go_back()
            self._write_status()
            await asyncio.sleep(RETRY)

    async def _session(self) -> None:
        config = self._config
        if self._reader is None:
            self._reader = OutboxReader(self._folder / "outbox.db")
        client = Client()
        broken = asyncio.Event()

        async def closed() -> None:
            broken.set()

        await client.connect(
            config.bus_url,
            user=config.user,
            password=config.password,
            inbox_prefix=f"_INBOX_{config.node}".encode(),
            allow_reconnect=False,
            connect_timeout=2,
            closed_cb=closed,
            disconnected_cb=closed,
            error_cb=self._bus_error,
        )
        try:
            await client.subscribe(marks_subject(config.node), cb=self._on_marks)
            async with asyncio.TaskGroup() as tasks:
                probe = tasks.create_task(self._probe(client, broken))
                try:
                    await self._drain(client.jetstream(), broken)
                finally:
                    probe.cancel()
        except* (OSError, nats.errors.Error, TimeoutError, sqlite3.Error) as group:
            raise group.exceptions[0] from None
        finally:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await asyncio.wait_for(client.close(), 2)

    async def _bus_error(self, error: Exception) -> None:
        if "permissions" in str(error).lower():
            self._errors["permissions"] = self._errors.get("permissions", 0) + 1
            log.error("the bus refuses this node", error=str(error))

    async def _probe(self, client: Client, broken: asyncio.Event) -> None:
        while not broken.is_set():
            before = time.monotonic()
            try:
                await client.flush(timeout=2)
            except (nats.errors.Error, OSError, TimeoutError):
                self._path.lost()
                broken.set()
                return
            self._path.measured(time.monotonic() - before)
            self._write_status()
            await asyncio.sleep(1)

    async def _drain(self, js: JetStreamContext, broken: asyncio.Event) -> None:
        assert self._reader is not None
        seen = -1
        while not broken.is_set():
            now = time.monotonic()
            self._core.tick(now)
            batch: list[Segment] = []
            version = self._reader.version()
            while len(batch) < WINDOW and (segment := self._core.next(self._reader, now)) is not None:
                self._core.sent(segment, now)
                batch.append(segment)
            if batch:
                await asyncio.gather(*(self._send(js, segment) for segment in batch))
            elif version == seen:
                await asyncio.sleep(POLL)
            seen = version
        raise nats.errors.ConnectionClosedError

    async def _send(self, js: JetStreamContext, segment: Segment) -> None:
        assert self._reader is not None
        if segment.counter not in self._epochs:
            self._epochs = self._reader.epochs()
        config, attempt = self._config, self._core.attempt(segment.fact)
        lane = Lane(config.node, self._epochs[segment.counter], segment.fact)
        header = Header(
            schema=segment.schema,
            priority=segment.priority,
            first=segment.first,
            last=segment.last,
            sealed_at=time.time_ns(),
            site=config.site,
            boot=self._boot,
            attempt=attempt,
            lost=segment.lost,
        )
        count = 0 if segment.lost else segment.last - segment.first + 1
        identity = f"{lane.epoch}.{lane.fact}.{segment.first}-{segment.last}.{self._boot}.{attempt}"
        await js.publish(
            up_subject(config.region, lane),
            encode_raw(header, count, segment.rows),
            timeout=ACK,
            headers={"Nats-Msg-Id": identity},
        )

    async def _on_marks(self, message: Msg) -> None:
        try:
            marks = Marks.decode(message.data)
        except msgspec.MsgspecError:
            self._errors["marks"] = self._errors.get("marks", 0) + 1
            return
        if self._reader is None or marks.node != self._config.node:
            return
        if any(mark.counter not in self._epochs for mark in marks.marks):
            self._epochs = self._reader.epochs()
        changed = False
        for mark in marks.marks:
            epoch = self._epochs.get(mark.counter)
            if epoch is None or epoch.nonce != mark.nonce:
                continue  # another's rows under our name: they free nothing here
            self._core.marked(mark, time.monotonic())
            changed = changed or self._marks.get(mark.fact) != mark
            self._marks[mark.fact] = mark
        if changed:
            self._write("marks", Marks(marks.node, tuple(self._marks.values())).encode())

    def _write_status(self) -> None:
        path = self._path
        status: dict[str, Any] = {
            "at": time.time_ns(),
            "connected": path.up,
            "rtt_ms": round(path.rtt * 1e3, 3),
            "jitter_ms": round(path.jitter * 1e3, 3),
            "rtt_p99_ms": round(path.histogram.percentile(99) / 1e6, 3),
            "lanes": self._core.behind(),
            "corrupt": self._reader.corrupt if self._reader else 0,
            "errors": self._errors,
        }
        self._write("uplink.json", msgspec.json.encode(status))

    def _write(self, name: str, data: bytes) -> None:
        draft = self._folder / f".{name}.new"
        try:
            draft.write_bytes(data)
            draft.replace(self._folder / name)
        except OSError as error:  # a full disk: marks come again, status too
            log.warning("a file can't be written", file=name, error=type(error).__name__)
