"""Retained messages reach new subscribers however many they are and however slowly they are read."""

import pytest

from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.protocols.mqtt import Puback, Publish, Suback, Subscribe, Subscription, encode

from .mqtt_support import Site, serving, until


async def retain_many(site: Site, count: int, payload: bytes) -> set[str]:
    """Have the site retain one message on each of many topics."""
    device = await site.client("retainer")
    topics = {f"many/{n}" for n in range(count)}
    for topic in topics:
        device.publish(topic, payload, 1, retain=True)
        assert isinstance(await device.next(), Puback)
    return topics


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1])
async def test_a_new_subscriber_gets_all_that_is_retained_though_far_less_may_wait_for_it(
    version: int, qos: int
) -> None:
    async with serving(MqttConfig(max_output=100_000, max_inflight=3)) as site:
        topics = await retain_many(site, 200, b"x" * 4000)
        client = await site.client("late", version)
        await client.subscribe(Subscription("many/+", qos))
        got: set[str] = set()
        while len(got) < len(topics):
            message = await client.message()
            assert message.retain
            got.add(message.topic)
        assert got == topics
        assert site.stat("dropped_slow_reader") == 0


async def test_a_reader_that_stops_gets_the_rest_of_what_is_retained_when_it_reads_again() -> None:
    async with serving(MqttConfig(max_output=100_000)) as site:
        topics = await retain_many(site, 200, b"x" * 50_000)
        client = await site.client("late")
        client.stop_reading()
        client.send(encode(Subscribe(1, (Subscription("many/+"),)), 5))
        await until(lambda: site.stat("slow_readers") > 0)
        client.read_again()
        assert isinstance(await client.next(), Suback)
        assert {(await client.message()).topic for _ in topics} == topics


async def test_what_is_replaced_while_it_waits_to_be_replayed_comes_once_and_new() -> None:
    async with serving(MqttConfig(max_inflight=1)) as site:
        device = await site.client("retainer")
        for topic in ("r/1", "r/2"):
            device.publish(topic, b"old", 1, retain=True)
            await device.next()
        client = await site.client("late")
        await client.subscribe(Subscription("r/+", 1))
        first = await client.next()
        assert isinstance(first, Publish)
        other = "r/2" if first.topic == "r/1" else "r/1"
        device.publish(other, b"new", 1, retain=True)
        await device.next()
        client.send(encode(Puback(first.packet_id), 5))
        second = await client.message()
        assert (second.topic, second.payload) == (other, b"new")
        device.publish("r/3", b"last", 1)
        assert (await client.message()).payload == b"last"


async def test_an_ended_subscription_gets_no_more_of_what_is_retained() -> None:
    async with serving(MqttConfig(max_inflight=1)) as site:
        await retain_many(site, 3, b"x")
        client = await site.client("late")
        await client.subscribe(Subscription("many/+", 1))
        first = await client.next()
        assert isinstance(first, Publish)
        await client.unsubscribe("many/+")
        client.send(encode(Puback(first.packet_id), 5))
        await client.subscribe("last")
        client.publish("last", b"", 0)
        assert (await client.message()).topic == "last"
