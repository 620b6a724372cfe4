"""Sessions that outlive their connection outlive the node too, killed -9: nothing acknowledged is lost."""

import asyncio
from pathlib import Path

import pytest
from tests.conformance.house import PATIENCE, Client
from tests.conformance.reading import Packet
from tests.conformance.wire import (
    CONNACK,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SESSION_EXPIRY,
    Hello,
    acknowledge,
    publish,
)
from tests.e2e.running import Dev, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
APP = """\
from msgspec import Struct
from rimward import App, mqtt

app = App("sessions", compat="2026-11-01")


class Reading(Struct):
    n: int


@app.fact
class Seen(Struct):
    n: int


@app.edge(mqtt("keep/{meter}"))
def keep(meter: str, reading: Reading) -> None:
    app.forward(Seen(reading.n))
"""
COUNT = 20


async def come_back(port: int, name: str) -> Client:
    """Connect to a session that lasts an hour; a node that was just killed is back in a moment."""
    async with asyncio.timeout(PATIENCE):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            client = Client(reader, writer)
            client.send(Hello(name, clean=False, properties=((SESSION_EXPIRY, 3600),)).encode())
            try:
                client.connack = await client.expect(CONNACK)
            except EOFError:
                client.hang_up()
                continue
            return client


def reading(n: int) -> bytes:
    return b'{"n":%d}' % n


async def killed(dev: Dev, *clients: Client) -> None:
    """Kill the node while its clients are connected."""
    await asyncio.to_thread(dev.kill, "node")
    for client in clients:
        client.hang_up()


async def before_the_kill(dev: Dev) -> list[Packet]:
    """Leave a subscriber with two messages in flight and a queue, and a publisher in the middle of QoS 2."""
    port = dev.ready["mqtt"]
    watcher, sender = await come_back(port, "watcher"), await come_back(port, "sender")
    await watcher.subscribe(("keep/#", 2))
    await sender.tell("keep/m", reading(0), 1)
    await sender.tell("keep/m", reading(1), 2)
    in_flight = [await watcher.expect(PUBLISH) for _ in range(2)]
    watcher.hang_up()
    for n in range(2, COUNT):
        await sender.tell("keep/m", reading(n), 1 + n % 2)
    sender.publish("keep/m", reading(COUNT), 2, 99)
    await sender.expect(PUBREC)  # and is not released
    await killed(dev, sender)
    return in_flight


async def after_the_kill(port: int, in_flight: list[Packet]) -> None:
    watcher = await come_back(port, "watcher")
    assert watcher.connack.session_present
    messages = [await watcher.message() for _ in range(COUNT + 1)]
    assert [message.payload for message in messages] == [reading(n) for n in range(COUNT + 1)]
    assert [message.packet_id for message in messages[:2]] == [one.packet_id for one in in_flight]
    assert all(message.dup for message in messages[:2])
    assert [message.qos for message in messages] == [1 + n % 2 for n in range(COUNT)] + [2]
    sender = await come_back(port, "sender")
    assert sender.connack.session_present
    sender.send(publish("keep/m", reading(COUNT), 2, 99, dup=True))
    assert (await sender.expect(PUBREC)).packet_id == 99
    sender.send(acknowledge(PUBREL, 99))
    await sender.expect(PUBCOMP)
    await watcher.quiet()
    sender.hang_up()
    watcher.hang_up()


def test_a_subscriber_gets_all_that_was_acknowledged_over_a_kill_and_nothing_twice_at_qos_2(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text(APP)
    with Dev(tmp_path / "app.py", tmp_path / "data") as dev:
        in_flight = asyncio.run(before_the_kill(dev))
        asyncio.run(after_the_kill(dev.ready["mqtt"], in_flight))
        until(
            lambda: (
                sum(one["stored"] for one in dev.json_lines_of_any("ledger") if not one["system"]) > COUNT
            ),
            "the rows are stored",
        )
        rows = dev.json_lines("sql", "select n from seen order by n")
        assert [row["n"] for row in rows] == list(range(COUNT + 1)), "each message ran its function once"


async def half_way(dev: Dev) -> int:
    """Leave a subscriber with a message at QoS 2 that it has and the node has released; return its id."""
    port = dev.ready["mqtt"]
    watcher, sender = await come_back(port, "w"), await come_back(port, "s")
    await watcher.subscribe(("t", 2), ("u", 1))
    await sender.tell("t", b"x", 2)
    message = await watcher.expect(PUBLISH)
    watcher.send(acknowledge(PUBREC, message.packet_id))
    await watcher.expect(PUBREL)
    await killed(dev, watcher, sender)
    return message.packet_id


async def completed(port: int, packet_id: int) -> None:
    watcher = await come_back(port, "w")
    release = await watcher.next()
    assert (release.kind, release.packet_id) == (PUBREL, packet_id), "its PUBLISH is not sent again"
    watcher.send(acknowledge(PUBCOMP, packet_id))
    sender = await come_back(port, "s")
    await sender.tell("u", b"y", 1)
    message = await watcher.expect(PUBLISH)
    assert message.payload == b"y"
    watcher.send(acknowledge(PUBACK, message.packet_id))
    await watcher.quiet()
    watcher.hang_up()
    sender.hang_up()


def test_a_message_that_was_released_is_completed_after_a_kill_and_not_sent_again(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with Dev(tmp_path / "app.py", tmp_path / "data") as dev:
        packet_id = asyncio.run(half_way(dev))
        asyncio.run(completed(dev.ready["mqtt"], packet_id))
