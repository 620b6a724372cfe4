# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (nats ships partial types)
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
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.reader import OutboxReader
from rimward.network.bus import connect
from rimward.network.nkeys import NoKey
from rimward.network.path import Path
from rimward.network.uplink import UplinkCore
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.wire import (
    Epoch,
    Mark,
    Marks,
    Segment,
    inbox_prefix,
    marks_subject,
    message_id,
    prior_text,
    seal,
    up_subject,
)

log: Logger = get_logger("rimward.deep")

POLL = 0.02  # seconds between looks at the outbox
ACK = 2.0  # seconds that the bus has to acknowledge one envelope
RETRY = 0.25  # seconds between connections; doubled up to RETRY_MOST while none gets an envelope through
RETRY_MOST = 2.0
FORBIDDEN = 30.0  # seconds before the next try where the bus refuses this node's rights
BROKEN = (OSError, nats.errors.Error, TimeoutError, sqlite3.Error, NoKey)
FULL = (nats.js.errors.APIError, nats.js.errors.NoStreamResponseError)


class DeepProcess:
    """One node's deep path, until it is stopped."""

    def __init__(self, config: DeepConfig) -> None:
        self._config = config
        self._folder = FilePath(config.data) / "node"
        self._core = UplinkCore()
        self._path = Path("bus")
        self._boot = os.urandom(4).hex()
        self._marks: dict[str, Mark] = {}
        self._errors: dict[str, int] = {}
        self._reader: OutboxReader | None = None
        self._epochs: dict[int, Epoch] = {}
        self._clashes: set[tuple[str, int]] = set()  # (fact, counter) that another disk has used
        self._retry = RETRY
        self._forbidden = False

    async def run(self) -> None:
        """Connect, send, and start over whenever something breaks."""
        while True:
            try:
                await self._session()
            except BROKEN as error:
                self._count(type(error).__name__)
                log.info("the uplink starts over", error=type(error).__name__)
            self._path.up = False
            self._core.go_back()
            self._write_status()
            await asyncio.sleep(FORBIDDEN if self._forbidden else self._retry)
            self._retry = min(2 * self._retry, RETRY_MOST)
            self._forbidden = False

    def _open(self) -> OutboxReader:
        """Return the outbox's reader, of the file that lies there now."""
        if self._reader is not None and self._reader.replaced():
            self._reader.close()
            self._reader = None
        if self._reader is None:
            self._reader = OutboxReader(self._folder / "outbox.db", self._config.node)
            self._epochs = self._reader.epochs()
            self._core = UplinkCore()
            self._marks.clear()
            with contextlib.suppress(OSError, ValueError):
                self._hear(Marks.decode((self._folder / "marks").read_bytes()))
        return self._reader

    async def _session(self) -> None:
        config, reader = self._config, self._open()
        broken = asyncio.Event()

        async def closed() -> None:
            broken.set()

        client = await connect(
            config.bus,
            inbox_prefix=inbox_prefix(config.node).encode(),
            closed_cb=closed,
            disconnected_cb=closed,
            error_cb=self._bus_error,
        )
        try:
            await client.subscribe(marks_subject(config.node), cb=self._on_marks)
            async with asyncio.TaskGroup() as tasks:
                probe = tasks.create_task(self._probe(client, broken))
                try:
                    await self._drain(reader, client, broken)
                finally:
                    probe.cancel()
        except* BROKEN as group:
            raise _first(group) from None
        finally:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await asyncio.wait_for(client.close(), 2)

    async def _bus_error(self, error: Exception) -> None:
        if "permissions" in str(error).lower():
            self._forbidden = True
            self._count("permissions")
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

    async def _drain(self, reader: OutboxReader, client: Client, broken: asyncio.Event) -> None:
        """Keep the window full until the connection breaks or the outbox is replaced."""
        js, core = client.jetstream(), self._core
        flying: set[asyncio.Task[None]] = set()
        try:
            while not broken.is_set() and not reader.replaced():
                now = time.monotonic()
                core.tick(now)
                while (segment := core.next(reader, now)) is not None:
                    core.sent(segment, now)
                    flying.add(asyncio.create_task(self._send(js, segment, client.max_payload)))
                if flying:
                    done, flying = await asyncio.wait(
                        flying, timeout=POLL, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        task.result()
                else:
                    await asyncio.sleep(POLL)
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
        raise nats.errors.ConnectionClosedError

    async def _send(self, js: JetStreamContext, segment: Segment, most: int) -> None:
        lane, attempt = segment.lane, self._core.attempt(segment.lane.fact)
        payload = self._seal(segment, attempt)
        if len(payload) > most:
            self._count("too_large")
            log.error("rows are too large for the bus", fact=lane.fact, bytes=len(payload), limit=most)
            segment.rows, segment.lost = b"", "too large"
            payload = self._seal(segment, attempt)
        reach("uplink.sealed")
        try:
            await js.publish(
                up_subject(self._config.region, segment.priority, lane),
                payload,
                timeout=ACK,
                headers={
                    "Nats-Msg-Id": message_id(lane, segment.first, segment.last, self._boot, attempt),
                    "Rw-Prior": prior_text(segment.prior, segment.prior_nonce),
                },
            )
        except FULL as error:  # no stream yet, or no room in it: the rows wait here, other lanes go on
            self._count(type(error).__name__)
            self._core.refused(segment, time.monotonic())
        else:
            reach("uplink.acked")
            self._retry = RETRY
            self._core.taken(segment)

    def _seal(self, segment: Segment, attempt: int) -> bytes:
        return seal(segment, site=self._config.site, boot=self._boot, attempt=attempt, now=time.time_ns())

    async def _on_marks(self, message: Msg) -> None:
        try:
            marks = Marks.decode(message.data)
        except ValueError:
            self._count("marks")
            return
        if self._reader is None or marks.node != self._config.node:
            return
        if any(mark.counter not in self._epochs for mark in marks.marks):
            self._epochs = self._reader.epochs()
        if self._hear(marks):
            reach("deep.marks-heard")
            self._write("marks", Marks(marks.node, tuple(self._marks.values())).encode())
            reach("deep.marks-written")

    def _hear(self, marks: Marks) -> bool:
        """Take marks over; return whether any is new."""
        changed = False
        for mark in marks.marks:
            epoch = self._epochs.get(mark.counter)
            forgotten = epoch is None and mark.counter < min(self._epochs, default=0)
            if mark.counter and not forgotten and (epoch is None or epoch.nonce != mark.nonce):
                self._clash(mark, epoch)
            elif self._core.marked(mark, time.monotonic()) and self._marks.get(mark.fact) != mark:
                self._marks[mark.fact] = mark
                changed = True
        return changed

    def _clash(self, mark: Mark, epoch: Epoch | None) -> None:
        """Tell of rows in the lake that another disk sent under this node's name: they free nothing here."""
        if (mark.fact, mark.counter) in self._clashes:
            return
        self._clashes.add((mark.fact, mark.counter))
        self._count("clash")
        log.error(
            "another outbox has used this node's name: give one of them another",
            fact=mark.fact,
            counter=mark.counter,
            known_here=epoch is not None,
        )

    def _count(self, name: str) -> None:
        self._errors[name] = self._errors.get(name, 0) + 1

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
            "clashes": len(self._clashes),
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


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the errors that ended a session; they tell the same."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
