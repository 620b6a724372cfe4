# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""Envelopes to the bus, in the order that the uplink's core gives, and its answers back to the core."""

import asyncio
import contextlib
import time

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from rimward.edge.deep.link import Link
from rimward.edge.deep.outgoing import Outgoing
from rimward.edge.deep.reader import OutboxReader
from rimward.network.heeding import heed_cancellation
from rimward.network.uplink import UplinkCore
from rimward.network.ways import Ways
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.wire import Segment, Supply, Upload, inbox_prefix

log: Logger = get_logger("rimward.deep")

POLL = 0.02  # seconds between looks at the outbox
BURST = 16  # envelopes before answers are looked at
PACE = 1.0  # seconds between looks at the schedule
NO_STREAM = "no stream takes its envelopes"
TOO_LARGE = 10054  # the bus's number of that error
FULL = {10023, 10047, 10077}  # no resources, no storage, a stream's limits


class _Error(Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(Struct):
    """What JetStream answers to an envelope."""

    error: _Error | None = None


class Sending:
    """Keeps the link full of what is due."""

    def __init__(self, out: Outgoing, ways: Ways) -> None:
        self._out = out
        self._ways = ways

    async def run(self, link: Link) -> None:
        """Send until the connection ends.

        Raises:
            ConnectionError: answers don't come, or another outbox lies there.
        """
        out = self._out
        assert out.reader is not None
        session = _Session(link, out, self._ways, out.reader)
        await session.begin()
        await out.gate.wait()
        await session.go_on()


class _Session:
    """The sending on one connection."""

    def __init__(self, link: Link, out: Outgoing, ways: Ways, reader: OutboxReader) -> None:
        self._link = link
        self._out = out
        self._ways = ways
        self._reader = reader
        self._core: UplinkCore = out.core
        self._inbox = f"{inbox_prefix(out.config.node)}.up.{link.client._nuid.next().decode()}"
        self._flying: dict[str, tuple[Segment, int]] = {}
        self._number = 0
        self._news = asyncio.Event()
        self._limit = link.client.max_payload  # bytes of one envelope
        self._paced_at = 0.0

    async def begin(self) -> None:
        """Listen for answers."""
        await self._link.client.subscribe(f"{self._inbox}.*", cb=self._on_answer)
        self._core.begin(time.monotonic(), same_bus=self._link.url == self._out.url)
        self._out.url = self._link.url

    async def go_on(self) -> None:
        """Send what is due, again and again."""
        core, out = self._core, self._out
        while not self._reader.replaced():
            now = time.monotonic()
            if now - self._paced_at > PACE:
                self._paced_at = now
                out.pace()
            core.tick(now)
            if core.overdue(now):
                raise ConnectionError("the bus does not answer to envelopes")
            self._news.clear()
            more = out.gate.is_set() and await self._fill()
            wait = 0.0 if more else min(core.wait, POLL)
            if wait:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._news.wait()
            else:
                await asyncio.sleep(0)
            heed_cancellation()
        raise ConnectionError("another outbox lies there")

    async def _fill(self) -> bool:
        """Send some envelopes; return whether there may be more."""
        for _ in range(BURST):
            now = time.monotonic()
            segment = self._core.next(self._reader, now)
            if segment is None:
                return False
            segment, upload = self._sealed(segment)
            reach("uplink.sealed")
            self._core.sent(segment, upload.size, now)
            self._number += 1
            token = str(self._number)
            self._flying[token] = segment, len(upload.payload)
            await self._link.client.publish(
                upload.subject, upload.payload, f"{self._inbox}.{token}", upload.headers
            )
            reach("uplink.published")
        return True

    def _sealed(self, segment: Segment) -> tuple[Segment, Upload]:
        """Return a segment and its message, cut to what the bus takes: rows that it never takes are lost."""
        upload = self._pack(segment)
        if len(upload.payload) > self._limit:
            least = self._reader.segment(
                Supply(segment.lane.fact, segment.priority, segment.end), segment.begin, 1
            )
            if least is not None and least.last < segment.last:
                segment, upload = least, self._pack(least)
        if len(upload.payload) > self._limit:
            self._out.counts["too_large"] += 1
            log.error(
                "rows are too large for the bus",
                fact=segment.lane.fact,
                bytes=len(upload.payload),
                limit=self._limit,
            )
            segment.rows, segment.lost = b"", "too large"
            upload = self._pack(segment)
        return segment, upload

    def _pack(self, segment: Segment) -> Upload:
        return self._out.packer.pack(segment, self._core.attempt(segment.lane.fact), time.time_ns())

    async def _on_answer(self, message: Msg) -> None:
        segment, size = self._flying.pop(message.subject.rpartition(".")[2], (None, 0))
        if segment is None:
            return
        refusal = _refusal(message)
        now = time.monotonic()
        reach("uplink.acked")
        if refusal is None:
            self._ways.works()
            self._core.taken(segment, now)
        else:  # the rows wait here, other lanes go on
            self._refused(segment, size, *refusal)
            self._core.refused(segment, now)
        self._news.set()

    def _refused(self, segment: Segment, size: int, number: int, text: str) -> None:
        out = self._out
        if number == TOO_LARGE:
            self._limit = min(self._limit, max(1, size - 1))
        name = "no_stream" if text == NO_STREAM else "bus_full" if number in FULL else "bus_refused"
        out.counts[name] += 1
        if out.refusal != text:
            out.refusal = text
            log.warning("the bus refuses envelopes: their rows wait", fact=segment.lane.fact, reason=text)


def _refusal(message: Msg) -> tuple[int, str] | None:
    """Return why the bus refused an envelope, as its number and words; None: it has it."""
    if not message.data:
        return 0, NO_STREAM
    try:
        error = msgspec.json.decode(message.data, type=_Answer).error
    except ValueError:
        return 0, "its answer can't be read"
    return None if error is None else (error.err_code, error.description)
