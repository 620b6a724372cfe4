# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""The hub on a real bus: envelopes in, rows and marks out, and nothing stays on the bus that the lake has."""

import asyncio
import os
import zlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
import pytest
import zstandard
from deltalake.exceptions import DeltaError
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.e2e.natsbus import Bus
from tests.e2e.running import until

from rimward.cloud.api import hub_status
from rimward.cloud.ingest.core import Envelope
from rimward.observe.life import HUB, last_sign
from rimward.wire import Mark, Marks, inbox_prefix, marks_subject, message_id, stream, up_subject

from .cloud_support import COLD, WARM, envelope, ingest, numbers, places, sealed, table
from .hub_support import hub


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", "n1", "n2") as running:
        yield running


class Node:
    """A node's side of the bus: it publishes and hears marks."""

    def __init__(self, client: Client, name: str = "n1") -> None:
        self.client, self.name = client, name
        self.marks: dict[str, Mark] = {}
        self.refused: list[str] = []
        self._news = asyncio.Event()
        self._attempt = 0

    async def heard(self, message: Msg) -> None:
        marks = Marks.decode(message.data)
        assert marks.node == self.name
        self.marks |= {mark.fact: mark for mark in marks.marks}
        self._news.set()

    @property
    def warm(self) -> int:
        """Return how far the lake has come in the fact of most tests."""
        return self.marks["warm"].seq if "warm" in self.marks else 0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def send(self, one: Envelope, data: bytes | None = None, priority: str = "") -> None:
        """Publish an envelope, or other bytes in its place."""
        self._attempt += 1
        header = one.header
        await self.client.jetstream().publish(
            up_subject("local", priority or header.priority, one.lane),
            sealed(one) if data is None else data,
            headers={
                "Nats-Msg-Id": message_id(one.lane, header.first, header.last, "b", self._attempt),
                "Rw-Prior": "",
            },
            timeout=5,
        )

    async def send_once_there_is_room(self, one: Envelope) -> None:
        """Publish an envelope to a lane that was full: what is marked leaves the bus a moment later."""
        async with asyncio.timeout(20):
            while True:
                with suppress(nats.js.errors.APIError):
                    return await self.send(one)
                await asyncio.sleep(0.02)


@asynccontextmanager
async def node(bus: Bus, name: str = "n1") -> AsyncGenerator[Node]:
    client = Client()
    user = bus.users[name]
    made = Node(client, name)

    async def problem(error: Exception) -> None:
        made.refused.append(str(error))

    await client.connect(
        bus.url, user=user.user, password=user.password, inbox_prefix=inbox_prefix(name).encode(),
        error_cb=problem, allow_reconnect=False,
    )  # fmt: skip
    await client.subscribe(marks_subject(name), cb=made.heard)
    try:
        yield made
    finally:
        await client.close()


async def counters(folder: Path) -> dict[str, int]:
    return await asyncio.to_thread(hub_status, folder)


async def left_on(bus: Bus) -> dict[str, int]:
    """Return how many messages each stream holds."""
    user = bus.users["hub"]
    client = await nats.connect(bus.url, user=user.user, password=user.password)
    try:
        js = client.jetstream()
        return {
            priority: (await js.stream_info(stream(priority))).state.messages
            for priority in ("critical", "normal", "bulk")
        }
    finally:
        await client.close()


async def streams(one: Node) -> None:
    """Wait until the hub has made its streams."""
    async with asyncio.timeout(20):
        while True:
            try:
                await one.send(envelope(1, 1))
            except (nats.js.errors.NoStreamResponseError, nats.errors.TimeoutError):
                await asyncio.sleep(0.05)
            else:
                return


async def test_rows_are_stored_marked_and_gone_from_the_bus(tmp_path: Path, bus: Bus) -> None:
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD):
        await streams(n1)
        await n1.send(envelope(2, 50))
        await n1.send(envelope(1, 5, fact=COLD))
        await n1.until(
            lambda: {f: m.reached for f, m in n1.marks.items()} == {"warm": (1, 50), "cold": (1, 5)}
        )
        async with asyncio.timeout(20):
            while any((await left_on(bus)).values()):  # noqa: ASYNC110 (the server has no event for it)
                await asyncio.sleep(0.05)
    assert places(tmp_path) == numbers((1, 1, 50))
    assert (await counters(tmp_path))["stored"] == 55


async def test_a_hub_with_an_empty_file_of_its_own_tells_the_marks_at_once(tmp_path: Path, bus: Bus) -> None:
    await asyncio.to_thread(lambda: ingest(tmp_path).take("warm", [envelope(1, 7)]))
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD):
        await n1.until(lambda: n1.warm > 0)
        assert n1.warm == 7


async def test_what_can_never_be_read_becomes_a_dead_letter_and_the_lane_goes_on(
    tmp_path: Path, bus: Bus
) -> None:
    body = zstandard.ZstdCompressor().compress(b"\x92\x80\x90")
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD):
        await streams(n1)
        await n1.send(envelope(2, 11), zlib.crc32(body).to_bytes(4, "big") + body)
        await n1.send(envelope(12, 13))
        await n1.until(lambda: n1.warm == 13)
    (dead,) = table(tmp_path, "_dead")
    assert (dead["rows"], dead["_seq"], dead["body"][4:]) == (10, 11, body)
    assert "missing required field" in dead["reason"]
    assert (await counters(tmp_path))["poison"] == 1


async def test_a_damaged_envelope_is_asked_for_again_and_given_up_when_it_comes_damaged_twice(
    tmp_path: Path, bus: Bus
) -> None:
    good = sealed(envelope(2, 3))
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD):
        await streams(n1)
        await n1.send(envelope(2, 3), damaged)
        await n1.send(envelope(2, 3))
        await n1.until(lambda: n1.warm == 3)
        for _ in range(2):
            await n1.send(envelope(4, 9), damaged)
        await n1.until(lambda: n1.warm == 9)
    assert places(tmp_path) == numbers((1, 1, 3))
    assert [(dead["rows"], dead["reason"]) for dead in table(tmp_path, "_dead")] == [
        (6, "the checksum does not fit")
    ]
    assert (await counters(tmp_path))["damaged"] == 3


async def test_a_message_that_is_no_upload_is_counted_and_holds_nothing_up(tmp_path: Path, bus: Bus) -> None:
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD):
        await streams(n1)
        js = n1.client.jetstream()
        await js.publish("up.local.n1.normal.nonsense", b"x")
        await js.publish("up.local.n1.normal.1-0000000a.warm", b"no envelope and no id")
        await n1.send(envelope(2, 3))
        await n1.until(lambda: n1.warm == 3)
    assert (await counters(tmp_path))["poison"] == 2


async def test_a_node_publishes_and_hears_what_is_its_own_and_nothing_else(tmp_path: Path, bus: Bus) -> None:
    async with node(bus) as n1, node(bus, "n2") as n2, hub(bus, tmp_path, WARM, COLD):
        await streams(n1)
        await n2.client.subscribe(marks_subject("n1"))
        await n2.client.publish(up_subject("local", "normal", envelope(2, 2).lane), b"in n1's name")
        await n2.client.flush()
        async with asyncio.timeout(10):
            while len(n2.refused) < 2:  # noqa: ASYNC110 (the client tells by a callback)
                await asyncio.sleep(0.02)
        await n1.until(lambda: n1.warm == 1)
    assert all("permissions violation" in one.lower() for one in n2.refused)
    assert places(tmp_path) == numbers((1, 1, 1))


async def test_a_full_lane_is_refused_and_other_facts_and_priorities_are_not(
    tmp_path: Path, bus: Bus
) -> None:
    async with node(bus) as n1:
        async with hub(bus, tmp_path, WARM, COLD, lane_messages=2):
            await streams(n1)
            await n1.until(lambda: n1.warm > 0)
        await n1.send(envelope(2, 2))
        await n1.send(envelope(3, 3))
        with pytest.raises(nats.js.errors.APIError, match="maximum messages per subject exceeded"):
            await n1.send(envelope(4, 4))
        await n1.send(envelope(1, 1, fact=COLD))
        await n1.send(envelope(4, 4), priority="critical")
        async with hub(bus, tmp_path, WARM, COLD, lane_messages=2):
            await n1.until(lambda: n1.warm >= 3)
            await n1.send_once_there_is_room(envelope(4, 5))
            await n1.until(lambda: n1.warm == 5)
    assert places(tmp_path) == numbers((1, 1, 5))


async def test_a_bus_that_lost_everything_gets_its_streams_again(tmp_path: Path, bus: Bus) -> None:
    async with hub(bus, tmp_path, WARM, COLD):
        async with node(bus) as n1:
            await streams(n1)
            await n1.until(lambda: n1.warm > 0)
        await asyncio.to_thread(bus.kill)
        await asyncio.to_thread(bus.wipe)
        await asyncio.to_thread(bus.start)
        async with node(bus) as n1:
            await streams(n1)
            await n1.send(envelope(1, 9))
            await n1.until(lambda: n1.warm == 9)
    assert places(tmp_path) == numbers((1, 1, 9))


@pytest.mark.parametrize("error", [DeltaError("no space left on device"), KeyError("path"), ValueError("?")])
async def test_a_commit_that_failed_is_tried_again_by_itself(
    tmp_path: Path, bus: Bus, error: Exception
) -> None:
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD) as running:
        await streams(n1)
        await n1.until(lambda: n1.warm > 0)
        warm = running.ingest.lake.tables["warm"]
        write = warm.write

        def once(*_: object) -> None:
            warm.write = write  # pyright: ignore[reportAttributeAccessIssue] (its own again)
            raise error

        warm.write = once  # pyright: ignore[reportAttributeAccessIssue] (a disk that is full for a moment)
        await n1.send(envelope(2, 3))
        await n1.until(lambda: n1.warm == 3)
    assert places(tmp_path) == numbers((1, 1, 3))
    assert (await counters(tmp_path))["failed_commits"] == 1


async def test_a_hub_that_can_not_write_its_own_file_stores_and_tells_all_the_same(
    tmp_path: Path, bus: Bus
) -> None:
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD) as running:
        await streams(n1)
        await n1.until(lambda: n1.warm > 0)
        running._records._db.execute("pragma query_only=on")
        await n1.send(envelope(2, 3))
        await n1.until(lambda: n1.warm == 3)
        running._records._db.execute("pragma query_only=off")
        await n1.send(envelope(4, 4))
        await n1.until(lambda: n1.warm == 4)
    assert places(tmp_path) == numbers((1, 1, 4))
    assert (await counters(tmp_path))["stored"] == 2


async def test_a_hub_gives_signs_of_life_while_it_runs(tmp_path: Path, bus: Bus) -> None:
    async with hub(bus, tmp_path, WARM):
        sign = tmp_path / HUB
        for _ in range(2):
            await asyncio.to_thread(until, lambda: bool(last_sign(sign)), "a sign of life")
            await asyncio.to_thread(os.utime, sign, (0, 0))


async def test_two_hubs_on_one_bus_store_every_row_once(tmp_path: Path, bus: Bus) -> None:
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD), hub(bus, tmp_path, WARM, COLD):
        await streams(n1)
        for first in range(1, 30, 3):
            await n1.send(envelope(first, first + 2))
        async with asyncio.timeout(40):
            while n1.warm < 30:
                after = n1.warm
                for first in range(after + 1, 30, 3):
                    await n1.send(envelope(first, min(first + 2, 30)))
                await asyncio.sleep(0.5)
    assert places(tmp_path) == numbers((1, 1, 30))


async def test_a_copied_disks_rows_are_refused_counted_and_free_nothing(tmp_path: Path, bus: Bus) -> None:
    async with node(bus) as n1, hub(bus, tmp_path, WARM, COLD):
        await streams(n1)
        await n1.send(envelope(2, 9))
        await n1.until(lambda: n1.warm == 9)
        await n1.send(envelope(1, 12, (1, 0xBAD)))
        async with asyncio.timeout(20):
            while "clashes" not in await counters(tmp_path):  # noqa: ASYNC110 (a file)
                await asyncio.sleep(0.05)
        assert n1.marks["warm"].nonce == 0xA
    assert places(tmp_path) == numbers((1, 1, 9))
    assert (await counters(tmp_path))["clashes"] == 1
