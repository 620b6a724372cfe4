"""Floods, rates and what a node says of itself, over real loopback sockets."""

import asyncio

import pytest

from rimward.edge.gateways.mqtt.config import MqttConfig, RateConfig
from rimward.edge.gateways.mqtt.figures import PREFIX
from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Publish,
    Reason,
    Suback,
    Subscription,
    encode,
)

from .mqtt_support import Client, Site, serving, until

SECOND = 1_000_000_000


async def refused(site: Site, client_id: str, version: int = 5) -> Connack:
    """Connect and return the refusal."""
    client = await Client.open(site.port, Connect(client_id, version))
    last = await client.ended()
    assert isinstance(last, Connack)
    assert last.reason
    return last


# -- floods


async def test_of_connections_that_say_nothing_the_oldest_makes_room() -> None:
    async with serving(MqttConfig(max_unannounced=2)) as site:
        silent = [await site.raw() for _ in range(3)]
        assert await silent[0].rest() == b""
        assert site.stat("dropped_unannounced") == 1
        assert site.stat("connections_unannounced") == 2
        device = await site.client("d")
        assert device.connack.reason == 0
        for one in silent[1:]:
            one.hang_up()


async def test_a_connect_that_comes_byte_by_byte_is_cut_off_in_time() -> None:
    async with serving() as site:
        slow = await site.raw()
        for byte in encode(Connect("slow", 5), 5)[:8]:
            slow.send(bytes((byte,)))
            await asyncio.sleep(0)
            site.now += 2 * SECOND
        site.gateway.look()
        await slow.rest()
        assert site.stat("clients") == 0


@pytest.mark.parametrize("version", [4, 5])
async def test_more_connections_a_second_than_one_address_may_open_are_told_so(version: int) -> None:
    config = MqttConfig(connects_per_address=1.0, connect_burst=2.0)
    async with serving(config) as site:
        for number in range(2):
            await site.client(f"c{number}", version)
        found = await refused(site, "c2", version)
        assert found.reason == (Reason.CONNECTION_RATE_EXCEEDED if version == 5 else 3)
        assert site.stat("connects_over_rate") == 1
        site.now += SECOND
        await site.client("c3", version)


async def test_all_addresses_together_have_a_rate_too() -> None:
    async with serving(MqttConfig(connects_per_second=1.0, connect_burst=1.0)) as site:
        await site.client("a")
        assert (await refused(site, "b")).reason == Reason.CONNECTION_RATE_EXCEEDED


# -- rates


def burst(count: int, qos: int, topic: str = "t") -> bytes:
    return b"".join(encode(Publish(topic, b"x", qos, packet_id=n * qos), 5) for n in range(1, count + 1))


async def answers(client: Client, count: int) -> list[Packet]:
    return [await client.next() for _ in range(count)]


RATE = MqttConfig(rates=RateConfig(messages=10.0, burst=0.5, patience=1.0))


async def test_qos_0_beyond_a_clients_rate_is_dropped_and_counted() -> None:
    async with serving(RATE) as site:
        device, other = await site.client("d"), await site.client("o")
        device.send(burst(8, 0))
        await until(lambda: site.stat("dropped_over_rate") == 3)
        assert len(site.door.messages) == 5
        other.publish("t", b"mine")
        await until(lambda: len(site.door.messages) == 6)
        site.now += SECOND
        device.publish("t", b"again")
        await until(lambda: len(site.door.messages) == 7)


async def test_qos_1_beyond_it_is_refused_in_turn_with_quota_exceeded() -> None:
    async with serving(RATE) as site:
        device = await site.client("d")
        device.send(burst(7, 1))
        found = await answers(device, 7)
        assert [(p.packet_id, p.reason) for p in found if isinstance(p, Puback)] == [
            *((number, 0) for number in range(1, 6)),
            (6, Reason.QUOTA_EXCEEDED),
            (7, Reason.QUOTA_EXCEEDED),
        ]
        assert len(site.door.messages) == 5


async def test_a_3_1_1_client_over_its_rate_is_not_read_for_a_while_and_nothing_is_lost() -> None:
    async with serving(RATE) as site:
        device = await site.client("d", 4)
        device.send(b"".join(encode(Publish("t", b"x", 1, packet_id=n), 4) for n in range(1, 8)))
        assert await answers(device, 7) == [Puback(number) for number in range(1, 8)]
        assert site.stat("clients_slowed") == 2
        site.now += SECOND
        device.publish("t", b"later", 1)
        assert isinstance(await device.next(), Puback)


async def test_one_that_sends_far_too_much_is_closed_without_an_answer() -> None:
    async with serving(RATE) as site:
        device = await site.client("d", 4)
        device.send(b"".join(encode(Publish("t", b"x", 1, packet_id=n), 4) for n in range(1, 40)))
        assert await answers(device, 15) == [Puback(number) for number in range(1, 16)], "burst and patience"
        assert await device.ended() is None
        assert len(site.door.messages) == 15


async def test_bytes_have_a_rate_and_one_packet_always_fits() -> None:
    config = MqttConfig(max_packet_size=100_000, rates=RateConfig(bytes=1000.0))
    async with serving(config) as site:
        device = await site.client("d")
        for _ in range(2):
            device.publish("t", b"x" * 90_000, 1)
        found = await answers(device, 2)
        assert [p.reason for p in found if isinstance(p, Puback)] == [0, Reason.QUOTA_EXCEEDED]


# -- classes


async def test_an_overloaded_node_refuses_the_lowest_class_first_and_takes_it_again() -> None:
    async with serving(priority=lambda topic: topic) as site:
        device = await site.client("d")
        for lag, refused_now in ((0.2, {"bulk"}), (1.0, {"bulk", "normal"})):
            site.gateway.weigh(lag)
            for topic in ("bulk", "normal", "critical"):
                device.publish(topic, b"x", 1)
                answer = await device.next()
                assert isinstance(answer, Puback)
                assert (answer.reason == Reason.QUOTA_EXCEEDED) is (topic in refused_now)
        for _ in range(2):
            site.now += 4 * SECOND
            site.gateway.weigh(0.0)
        device.publish("bulk", b"x", 1)
        answer = await device.next()
        assert isinstance(answer, Puback)
        assert answer.reason == 0
        assert site.stat("refused_busy") == 3


async def test_a_class_has_a_rate_that_its_topics_share() -> None:
    config = MqttConfig(rates=RateConfig(bulk=1.0, burst=2.0))
    async with serving(config, priority=lambda topic: topic.partition("/")[0]) as site:
        one, two = await site.client("1"), await site.client("2")
        reasons: list[int] = []
        for client, topic in ((one, "bulk/a"), (two, "bulk/b"), (one, "bulk/a"), (two, "normal/b")):
            client.publish(topic, b"x", 1)
            answer = await client.next()
            assert isinstance(answer, Puback)
            reasons.append(answer.reason)
        assert reasons == [0, 0, Reason.QUOTA_EXCEEDED, 0]


# -- what a node says of itself


async def test_figures_come_to_those_who_subscribe_under_the_usual_names() -> None:
    async with serving(MqttConfig(figures_interval=10.0)) as site:
        device = await site.client("d", 4)
        await device.subscribe(Subscription("$SYS/broker/clients/+", 0), Subscription("#", 0))
        first = [await device.message() for _ in range(7)]
        assert all(one.retain for one in first)
        assert {one.topic.removeprefix(PREFIX) for one in first} == {
            f"clients/{name}"
            for name in ("total", "connected", "active", "disconnected", "inactive", "maximum", "expired")
        }
        site.now += 11 * SECOND
        site.gateway.look()
        found = {
            one.topic.removeprefix(PREFIX): one.payload for one in [await device.message() for _ in range(4)]
        }
        assert found["clients/connected"] == b"1"
        assert site.stat("retained") == 0
        assert site.disk.stored == {}
        device.publish("t", b"#'s own")
        assert (await device.message()).topic == "t"


async def test_a_device_may_not_publish_figures_and_they_can_be_turned_off() -> None:
    async with serving(MqttConfig(figures_interval=0.0)) as site:
        device = await site.client("d")
        assert await device.subscribe("$SYS/#") == Suback(1, (1,))
        device.publish("$SYS/broker/uptime", b"x", 1)
        answer = await device.next()
        assert isinstance(answer, Puback)
        assert answer.reason == Reason.TOPIC_NAME_INVALID
        site.now += 100 * SECOND
        site.gateway.look()
        device.publish("end", b"x", 1)
        assert isinstance(await device.next(), Puback)


async def test_a_full_node_names_another_one() -> None:
    config = MqttConfig(max_connections=1, server_reference="other.example:1883")
    async with serving(config) as site:
        await site.client("a")
        found = await refused(site, "b")
        assert found.reason == Reason.USE_ANOTHER_SERVER
        assert found.properties is not None
        assert found.properties.server_reference == "other.example:1883"
        assert (await refused(site, "c", 4)).reason == 3


async def test_a_node_that_stops_names_another_one() -> None:
    async with serving(MqttConfig(server_reference="other.example")) as site:
        device = await site.client("a")
        closing = asyncio.ensure_future(site.gateway.close(5.0))
        last = await device.ended()
        await closing
        assert isinstance(last, Disconnect)
        assert last.reason == Reason.USE_ANOTHER_SERVER
        assert last.properties is not None
        assert last.properties.server_reference == "other.example"


async def test_a_node_that_has_moved_sends_everybody_away_for_good() -> None:
    async with serving(MqttConfig(server_reference="other.example", server_moved=True)) as site:
        assert (await refused(site, "a")).reason == Reason.SERVER_MOVED


@pytest.mark.parametrize(("asked", "told"), [(0, 30), (31, 30), (30, None), (10, None)])
async def test_a_keep_alive_beyond_the_longest_is_another_one(asked: int, told: int | None) -> None:
    async with serving(MqttConfig(max_keep_alive=30)) as site:
        device = await site.client("d", keep_alive=asked)
        assert device.connack.properties is not None
        assert device.connack.properties.server_keep_alive == told
        site.now += round(1.5 * (told or asked) * SECOND) + SECOND
        site.gateway.look()
        last = await device.ended()
        assert isinstance(last, Disconnect)
        assert last.reason == Reason.KEEP_ALIVE_TIMEOUT


@pytest.mark.parametrize(("asked", "told"), [(1, "replies/d/"), (0, None), (None, None)])
async def test_response_information_is_told_to_those_who_ask(asked: int | None, told: str | None) -> None:
    async with serving(MqttConfig(response_information="replies/{client}/")) as site:
        device = await site.client("d", properties=Properties(request_response_information=asked))
        assert device.connack.properties is not None
        assert device.connack.properties.response_information == told


@pytest.mark.parametrize("qos", [0, 1])
async def test_topics_get_short_names_towards_a_client_that_takes_them(qos: int) -> None:
    async with serving() as site:
        device = await site.client("d", properties=Properties(topic_alias_maximum=1))
        await device.subscribe(Subscription("site/#", qos))
        sender = await site.client("s", 4)
        before = site.stat("packets_out")
        for number in range(3):
            sender.publish("site/7/temperature", b"%d" % number, 0)
            sender.publish("site/7/humidity", b"%d" % number, qos)
        await until(lambda: site.stat("packets_out") >= before + 6 + 3 * qos)
        data = await device.read(6 * 4)
        assert data.count(b"temperature") <= 1
