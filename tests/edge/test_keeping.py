"""Retained messages from one start of the node to the next, by its own outbox."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from tests.edge.gateways.mqtt_support import Client

from rimward.app.loading import load
from rimward.edge.config import NodeConfig, OutboxConfig
from rimward.edge.dispatch import Clocks
from rimward.edge.dispatch.types import Retained
from rimward.edge.keeping import Keeper
from rimward.edge.node import Node
from rimward.edge.outbox import Outbox, Put, Transaction
from rimward.protocols.mqtt import Connect, Properties, Puback, Publish

SECOND = 10**9
TOLD = Properties(
    payload_format=1,
    content_type="application/json",
    response_topic="answers/7",
    correlation_data=b"\x00\x01",
    user=(("unit", "K"), ("unit", "°C")),
)


class Times:
    """A machine's clocks; a restart of the machine begins the monotonic one anew."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_795_000_000 * SECOND, 5000 * SECOND

    def pass_by(self, seconds: int) -> None:
        self.wall += seconds * SECOND
        self.monotonic += seconds * SECOND

    def restart(self) -> None:
        self.monotonic = 3 * SECOND


@asynccontextmanager
async def keeper(folder: Path, times: Times) -> AsyncGenerator[Keeper]:
    async with Outbox(folder, OutboxConfig(), lambda: times.wall) as outbox:
        yield Keeper(outbox, Clocks(lambda: times.monotonic, lambda: times.wall))


@asynccontextmanager
async def device(folder: Path) -> AsyncGenerator[Client]:
    """Connect a device to a node that is started for it."""
    app = folder / "app.py"
    app.write_text('from rimward import App\napp = App("kept", compat="2026-11-01")\n')
    sock = socket.create_server(("127.0.0.1", 0))
    async with Node(load(str(app)), NodeConfig(app=str(app), data=str(folder))) as node:
        await node.serve(sock, None)
        port = sock.getsockname()[1]
        client = await Client.open(port, Connect("d", 5, True, 0, None, None, None, None))
        await client.next()
        yield client
        client.hang_up()


async def test_a_retained_message_comes_back_after_a_restart_with_all_that_was_said_of_it(
    tmp_path: Path,
) -> None:
    lasting = msgspec.structs.replace(TOLD, message_expiry=86_400)
    async with device(tmp_path) as client:
        client.publish("s/plain", b"a", 1, retain=True)
        client.publish("s/told", b"b", 1, retain=True, properties=TOLD)
        client.publish("t/lasting", b"c", 1, retain=True, properties=lasting)
        assert [await client.next() for _ in range(3)] == [Puback(1), Puback(2), Puback(3)]
    async with device(tmp_path) as client:
        await client.subscribe("s/+")
        found = {message.topic: message for message in (await client.message(), await client.message())}
        assert found["s/plain"].properties is None
        assert found["s/told"] == Publish(
            "s/told", b"b", 1, retain=True, packet_id=found["s/told"].packet_id, properties=TOLD
        )
        await client.subscribe("t/+")
        told = (await client.message()).properties
        assert told is not None
        assert told.message_expiry is not None
        assert 86_000 < told.message_expiry <= 86_400
        assert msgspec.structs.replace(told, message_expiry=None) == TOLD


async def test_a_retained_messages_time_goes_on_while_the_node_does_not_run(tmp_path: Path) -> None:
    times = Times()
    async with keeper(tmp_path, times) as kept:
        for topic, seconds in (("short", 60), ("long", 600)):
            kept.store_retained(topic, Retained(b"x", 1, expires_at=times.monotonic * 1e-9 + seconds))
    times.pass_by(60)
    times.restart()
    async with keeper(tmp_path, times) as kept:
        found = kept.load_retained()
        assert list(found) == ["long"]
        assert found["long"].expires_at == times.monotonic * 1e-9 + 540
    async with Outbox(tmp_path, OutboxConfig(), lambda: times.wall) as outbox:
        assert list(outbox.load("retained")) == ["long"], "what has expired is forgotten on disk too"


async def test_what_was_retained_by_an_earlier_version_is_loaded(tmp_path: Path) -> None:
    times = Times()
    async with Outbox(tmp_path, OutboxConfig(), lambda: times.wall) as outbox:
        transaction = Transaction()
        transaction.puts.append(Put("retained", "s", msgspec.msgpack.encode({"payload": b"x", "qos": 1})))
        outbox.append(transaction, None)
    async with keeper(tmp_path, times) as kept:
        assert kept.load_retained() == {"s": Retained(b"x", 1)}
