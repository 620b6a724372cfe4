# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (nats and pyarrow ship partial types)
"""Committed rows as CloudEvents on a real bus: what is told, to whom, and that ingest never minds."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import nats.errors
import nats.js.errors
import pyarrow as pa
import pytest
from cloudevents.core.bindings import http as official
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.e2e.natsbus import Bus

from rimward.app.manifest import Column, FactSpec, Manifest
from rimward.cloud.announcing import MAX_ROWS, Announcer, event_of
from rimward.cloud.config import HubConfig
from rimward.cloud.ingest.core import Envelope
from rimward.wire import message_id, up_subject

from .cloud_support import COLD, NOW, WARM, envelope, numbers, places, sealed
from .hub_support import hub

AT = datetime.fromtimestamp(NOW / 1e9, UTC)
HERE = replace(WARM, name="Here", table="here", locality="local")
THERE = replace(WARM, name="There", table="there", locality="mars")


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", "n1", events=True) as running:
        yield running


class Reader:
    """Whoever reads the events."""

    def __init__(self) -> None:
        self.client = Client()
        self.messages: asyncio.Queue[Msg] = asyncio.Queue()
        self.problems: asyncio.Queue[str] = asyncio.Queue()

    async def heard(self, message: Msg) -> None:
        await self.messages.put(message)

    async def problem(self, error: Exception) -> None:
        await self.problems.put(str(error))

    async def next(self) -> tuple[str, Any]:
        """Return a subject and its event, as the official package reads it."""
        message = await asyncio.wait_for(self.messages.get(), 20)
        headers = dict(message.headers or {})
        headers["content-type"] = headers.pop("ce-datacontenttype")
        return message.subject, official.from_http_event(official.HTTPMessage(headers, message.data))

    async def refusal(self) -> str:
        return await asyncio.wait_for(self.problems.get(), 20)


@asynccontextmanager
async def reading(bus: Bus, name: str = "events", subject: str = "facts.>") -> AsyncGenerator[Reader]:
    reader, user = Reader(), bus.users[name]
    await reader.client.connect(
        bus.url, user=user.user, password=user.password, allow_reconnect=False, error_cb=reader.problem
    )
    await reader.client.subscribe(subject, cb=reader.heard)
    await reader.client.flush()
    try:
        yield reader
    finally:
        await reader.client.close()


async def send(bus: Bus, *envelopes: Envelope, attempt: int = 1) -> None:
    """Publish envelopes as their node does, as soon as the hub has made its streams."""
    client, user = Client(), bus.users["n1"]
    await client.connect(bus.url, user=user.user, password=user.password, inbox_prefix=b"_INBOX_n1")
    try:
        for one in envelopes:
            header = one.header
            subject = up_subject("local", header.priority, one.lane)
            number = message_id(one.lane, header.first, header.last, "b", attempt)
            async with asyncio.timeout(20):
                while True:
                    try:
                        await client.jetstream().publish(
                            subject, sealed(one), headers={"Nats-Msg-Id": number, "Rw-Prior": ""}
                        )
                        break
                    except (nats.js.errors.NoStreamResponseError, nats.errors.TimeoutError):
                        await asyncio.sleep(0.05)
    finally:
        await client.close()


async def stored(folder: Path, count: int, name: str = "warm") -> None:
    """Wait until the lake has rows."""
    async with asyncio.timeout(20):
        while len(await asyncio.to_thread(places, folder, name)) < count:  # noqa: ASYNC110 (files have no event)
            await asyncio.sleep(0.05)


async def test_every_stored_row_is_told_once_in_binary_mode(tmp_path: Path, bus: Bus) -> None:
    async with reading(bus) as reader, hub(bus, tmp_path, WARM, events=True):
        await send(bus, envelope(1, 2))
        await send(bus, envelope(1, 2), envelope(3, 3), attempt=2)
        for seq in (1, 2, 3):
            subject, event = await reader.next()
            assert subject == "facts.local.warm"
            assert event.get_id() == f"n1/1/warm/{seq}"
            assert event.get_source() == "//local/n1"
            assert event.get_type() == "a.warm.v1"
            assert event.get_time() == AT
            assert event.get_subject() is None
            assert event.get_datacontenttype() == "application/json"
            assert event.get_extension("sequence") == f"{seq:013}"
            assert event.get_extension("traceparent") is None
            assert event.get_data() == {"n": seq, "note": "x"}
        assert reader.messages.empty()
    assert places(tmp_path) == numbers((1, 1, 3))


async def test_a_hub_that_was_not_asked_tells_nothing(tmp_path: Path, bus: Bus) -> None:
    async with reading(bus) as reader:
        async with hub(bus, tmp_path, WARM):
            await send(bus, envelope(1, 2))
            await stored(tmp_path, 2)
        async with hub(bus, tmp_path, WARM, events=True):
            await send(bus, envelope(3, 3))
            assert (await reader.next())[1].get_id() == "n1/1/warm/3", "and what was before is not told later"


async def test_a_fact_is_told_only_where_its_rows_may_be(tmp_path: Path, bus: Bus) -> None:
    async with reading(bus) as reader, hub(bus, tmp_path, THERE, HERE, events=True):
        await send(bus, envelope(1, 2, fact=THERE), envelope(1, 1, fact=HERE))
        assert (await reader.next())[0] == "facts.local.here"
        await stored(tmp_path, 2, "there")
        await send(bus, envelope(2, 2, fact=HERE))
        assert (await reader.next())[1].get_id() == "n1/1/here/2"


async def test_a_row_that_can_be_no_event_stops_nothing(tmp_path: Path, bus: Bus) -> None:
    bad = envelope(1, 1)
    bad.header = replace(bad.header, site="a\nb")
    async with reading(bus) as reader, hub(bus, tmp_path, WARM, events=True):
        await send(bus, bad, envelope(2, 2))
        assert (await reader.next())[1].get_id() == "n1/1/warm/2"
    assert places(tmp_path) == numbers((1, 1, 2))


async def test_events_go_on_when_the_bus_comes_back(tmp_path: Path, bus: Bus) -> None:
    async with hub(bus, tmp_path, WARM, events=True):
        async with reading(bus) as reader:
            await send(bus, envelope(1, 1))
            assert (await reader.next())[1].get_id() == "n1/1/warm/1"
        await asyncio.to_thread(bus.kill)
        await asyncio.to_thread(bus.start)
        async with reading(bus) as reader:
            await send(bus, envelope(2, 2))
            assert (await reader.next())[1].get_id() == "n1/1/warm/2"


@pytest.mark.parametrize("subject", [">", "up.>", "_INBOX.>", "$SYS.>", "$JS.>"])
async def test_the_reader_may_listen_to_nothing_else(bus: Bus, subject: str) -> None:
    async with reading(bus, subject=subject) as reader:
        assert "permissions violation" in (await reader.refusal()).lower()


@pytest.mark.parametrize(
    "subject", ["facts.local.warm", "up.local.n1.normal.1-0000000a.warm", "_INBOX_n1.marks"]
)
async def test_the_reader_may_publish_nothing(bus: Bus, subject: str) -> None:
    async with reading(bus) as reader:
        await reader.client.publish(subject, b"{}")
        assert "permissions violation" in (await reader.refusal()).lower()
        assert reader.messages.empty()


async def test_a_node_may_neither_tell_facts_nor_listen_to_them(bus: Bus) -> None:
    async with reading(bus) as reader, reading(bus, "n1") as node:
        assert "subscription" in await node.refusal()
        await node.client.publish("facts.local.warm", b"{}")
        assert "publish" in await node.refusal()
        assert reader.messages.empty()


def test_a_bus_that_was_not_asked_has_no_such_user(tmp_path: Path) -> None:
    with Bus(tmp_path / "plain", "n1") as plain:
        assert set(plain.users) == {"hub", "n1"}


COLUMNS = {
    "flag": "bool", "ratio": "float64", "bytes": "binary", "at": "timestamp", "day": "date", "nested": "json",
    "odd": "json", "many": "list<int64>", "none": "string",
}  # fmt: skip
ALL = FactSpec(
    "All", "all", "normal", None, tuple(Column(name, type_) for name, type_ in COLUMNS.items()), "print"
)
ROW: dict[str, Any] = {
    "flag": True, "ratio": float("nan"), "bytes": b"\x00\xff", "at": AT, "day": date(2026, 11, 25),
    "nested": '{"a":[1]}', "odd": "{", "many": [1, 2], "none": None,
    "_node": "n1", "_epoch": 4, "_seq": 41, "_site": "depot", "_time": AT, "_trace": "a" * 32,
}  # fmt: skip


def test_data_are_the_facts_fields_as_json() -> None:
    event = event_of("cold chain", ALL, ROW)
    assert (event.id, event.source, event.type) == ("n1/4/all/41", "//depot/n1", "cold chain.all.v1")
    assert event.data is not None
    assert json.loads(event.data) == {
        "flag": True, "ratio": None, "bytes": "AP8=", "at": AT.isoformat().replace("+00:00", "Z"),
        "day": "2026-11-25", "nested": {"a": [1]}, "odd": "{", "many": [1, 2], "none": None,
    }  # fmt: skip
    traceparent = event.extensions["traceparent"]
    assert isinstance(traceparent, str)
    assert traceparent.split("-")[1] == "a" * 32
    assert traceparent == event_of("cold chain", ALL, ROW).extensions["traceparent"]


def test_what_nobody_takes_off_the_queue_is_dropped_and_counted() -> None:
    config = HubConfig(data="", manifest="", app="", bus_url="", user="", password="", events=True)
    announcer = Announcer(config, Manifest("a", "", "", "", (WARM, COLD), ()))
    rows: Any = pa.table({"n": range(MAX_ROWS // 2)})
    for _ in range(2):
        announcer.offer("warm", rows)
        announcer.offer("unknown", rows)
    assert not announcer.take_counts()
    announcer.offer("cold", rows)
    assert announcer.take_counts() == {"events_dropped": MAX_ROWS // 2}
    assert not announcer.take_counts()
