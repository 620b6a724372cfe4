"""Section 3.1.2.5 and its neighbours: the will, in both versions."""

import pytest

from .house import House
from .wire import PUBLISH, Hello, Will, disconnect, publish


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_will_is_published_when_its_connection_breaks(house: House, version: int, qos: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe(("will/+", 2))
    client = await house.connect("a", version, will=Will("will/a", b"gone", qos))
    await client.cut()
    message = await watcher.message()
    assert (message.topic, message.payload, message.qos, message.retain) == ("will/a", b"gone", qos, False)
    await watcher.quiet()


async def test_a_will_is_published_after_a_protocol_violation(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("will")
    client = await house.connect("a", version, will=Will("will", b"gone"))
    client.send(b"\x00\x00")
    await client.closed()
    assert (await watcher.message()).payload == b"gone"


async def test_a_will_is_published_when_another_takes_the_session_over(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("will")
    await house.connect("a", version, will=Will("will", b"first"))
    second = await house.connect("a", version)
    assert (await watcher.message()).payload == b"first"
    await second.cut()
    await watcher.quiet()


async def test_a_goodbye_takes_the_will_back(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("will")
    client = await house.connect("a", version, will=Will("will", b"gone"))
    client.send(disconnect())
    assert await client.closed() == []
    await watcher.quiet()


async def test_a_will_is_published_once(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("will")
    for _ in range(2):
        client = await house.come_back("a", version)
        await client.cut()
    client = await house.connect("a", version, clean=False, will=Will("will", b"gone"))
    await client.cut()
    assert (await watcher.message()).payload == b"gone"
    client = await house.come_back("a", version)
    await client.cut()
    assert (await house.connect("a", version)).connack.reason == 0
    await watcher.quiet()


async def test_without_a_will_none_is_published(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("#")
    client = await house.connect("a", version)
    await client.cut()
    assert (await house.connect("a", version)).connack.reason == 0
    await watcher.quiet()


@pytest.mark.parametrize("retain", [False, True])
async def test_a_will_is_retained_if_it_asks_for_it(house: House, version: int, retain: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    watcher = await house.connect("w", version)
    await watcher.subscribe("will")
    client = await house.connect("a", version, will=Will("will", b"gone", 1, retain))
    await client.cut()
    assert not (await watcher.message()).retain, "to a subscription that stood before"
    late = await house.connect("l", version)
    await late.subscribe("will")
    kept = [(packet.payload, packet.retain) for packet in await late.until_quiet()]
    assert kept == ([(b"gone", True)] if retain else [])


async def test_a_will_to_a_wildcard_is_refused(house: House, version: int) -> None:
    client = await house.raw(version)
    client.send(Hello("a", version, will=Will("will/+")).encode())
    packets = await client.closed()
    assert all(packet.reason in {0x90, 0x81, 5} for packet in packets)


async def test_a_refused_connect_leaves_no_will(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("#")
    client = await house.raw(version)
    client.send(Hello("x" * 60_000, version, will=Will("will", b"gone")).encode())
    await client.closed()
    watcher.send(publish("t", b"after", version=version))
    assert (await watcher.expect(PUBLISH)).payload == b"after"
    await watcher.quiet()
