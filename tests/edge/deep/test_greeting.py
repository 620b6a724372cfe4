# pyright: reportUnknownMemberType=false
# (nats ships partial types)
"""What a node does with a hub's answer to its hello."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.e2e.natsbus import Bus
from tests.edge.deep.test_process import Writer, deep, until

from rimward.edge.deep import greeting
from rimward.edge.deep.greeting import rekey_text
from rimward.edge.deep.process import DeepProcess
from rimward.wire import Hello, Mark, Welcome, hello_subject, stream, stream_subject


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", "node-1") as running:
        yield running


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncGenerator[Writer]:
    made = await asyncio.to_thread(Writer, tmp_path)
    await made.write(5)
    yield made
    await asyncio.to_thread(made.core.close)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "EVERY", 0.1)
    monkeypatch.setattr(greeting, "QUARANTINED", 0.1)


class Peer:
    """A hub as the bus sees one: it answers to hello with what the test says, and has a stream."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.welcome = Welcome("ok", "hub-a", 0)
        self.heard: list[Hello] = []

    async def answer(self, message: Msg) -> None:
        self.heard.append(Hello.decode(message.data))
        await message.respond(self.welcome.encode())

    async def envelopes(self) -> int:
        return (await self.client.jetstream().stream_info(stream("normal"))).state.messages


@asynccontextmanager
async def peer(bus: Bus) -> AsyncGenerator[Peer]:
    user = bus.users["hub"]
    client = await nats.connect(bus.url, user=user.user, password=user.password)
    await client.jetstream().add_stream(name=stream("normal"), subjects=[stream_subject("local", "normal")])
    made = Peer(client)
    await client.subscribe(hello_subject("local", "node-1"), cb=made.answer)
    await client.flush()
    try:
        yield made
    finally:
        await client.close()


def acked(process: DeepProcess) -> int:
    return process.out.core.behind().get("warm", {}).get("acked", 0)


async def test_a_node_says_who_it_is_and_what_it_has(tmp_path: Path, bus: Bus, writer: Writer) -> None:
    async with peer(bus) as hub, deep(bus, tmp_path) as process:
        await until(lambda: len(hub.heard) > 1, "hello")
        hello = hub.heard[0]
        assert (hello.node, hello.boot) == ("node-1", process.out.boot)
        assert hello.epochs == ((1, writer.core.epoch.nonce),)
        assert hello.outbox
        assert [(tally.lane, tally.forwarded, tally.waiting) for tally in hello.tallies] == [("warm", 5, 5)]
        await until(lambda: acked(process) == 5, "its rows go")


async def test_a_quarantined_node_sends_nothing_until_it_is_let_in(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    async with peer(bus) as hub:
        hub.welcome = Welcome("quarantined", "hub-a", 1, reason="another node-1 is live")
        async with deep(bus, tmp_path) as process:
            await until(lambda: len(hub.heard) > 3, "it asks again and again")
            assert await hub.envelopes() == 0
            assert process.out.counts["quarantined"] == 1, "told once"
            hub.welcome = Welcome("ok", "hub-a", 1)
            await until(lambda: acked(process) == 5, "its rows go")


async def test_a_node_that_is_to_rekey_sends_nothing_until_its_outbox_has_moved(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    order = tmp_path / "node" / "rekey"
    async with peer(bus) as hub:
        hub.welcome = Welcome("rekey", "hub-a", 17, (Mark("warm", "t", 0, 1, 1, 99, 5),))
        async with deep(bus, tmp_path) as process:
            await until(order.exists, "the order")
            assert msgspec.json.decode(order.read_bytes()) == {"above": 17, "nonces": {"1": 99}, "left": {}}
            assert await hub.envelopes() == 0
            hub.welcome = Welcome("ok", "hub-a", 17)
            order.unlink()  # as the outbox's writer does
            await until(lambda: acked(process) == 5, "its rows go")


async def test_another_hub_gets_everything_and_the_first_ones_marks_count_no_more(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    nonce = writer.core.epoch.nonce
    async with peer(bus) as hub:
        hub.welcome = Welcome("ok", "hub-a", 1, (Mark("warm", "t", 0, 9, 1, nonce, 5),))
        async with deep(bus, tmp_path) as process:
            await until(lambda: process.out.book.marks.get("warm") is not None, "the first hub has all")
        assert await hub.envelopes() == 0
        hub.welcome = Welcome("ok", "hub-b", 1)
        async with deep(bus, tmp_path) as process:
            await until(lambda: acked(process) == 5, "all of it")
            assert process.out.hub == "hub-b"
        assert await hub.envelopes() == 1


async def test_the_outboxs_writer_is_told_when_the_link_comes_and_goes(
    tmp_path: Path, bus: Bus, writer: Writer
) -> None:
    link = tmp_path / "node" / "link"

    def is_up() -> bool:
        return link.exists() and msgspec.json.decode(link.read_bytes())["up"]

    async with deep(bus, tmp_path):
        await until(is_up, "up")
        await asyncio.to_thread(bus.kill)
        await until(lambda: not is_up(), "down")


def test_the_writer_is_told_which_nonces_the_hub_knows_and_how_far_it_came_before_it_went_on() -> None:
    marks = (
        Mark("a", "t", 0, 1, 3, 30, 1), Mark("b", "t", 0, 1, 4, 44, 1), Mark("c", "t", 0, 0, 0, 0, 0),
        Mark("d", "t", 0, 1, 7, 70, 1),
    )  # fmt: skip
    welcome = Welcome("rekey", "h", 9, marks, epochs=((8, 30),), left={"b": {3: 5}})
    text = rekey_text(welcome, {3: 30, 4: 40})
    assert msgspec.json.decode(text) == {
        "above": 9, "nonces": {"3": 30, "4": 44, "8": 30}, "left": {"b": {"3": 5}},
    }  # fmt: skip
