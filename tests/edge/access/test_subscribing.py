"""Why a filter is refused, in MQTT 5: the filter and the rule, once a packet, where the client wants it."""

from collections.abc import AsyncIterator

import pytest
from tests.edge.gateways.mqtt_support import Client, Site, serving

from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.protocols.mqtt import Packet, Properties, Reason, Suback, Unsuback

from .access_support import device, living

TEXT = (
    device("truck-1")
    + """
[[rule]]
devices = ["truck-1"]
subscribe = ["to/{client}/#"]
"""
)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    with living(TEXT) as house:
        async with serving(MqttConfig(max_subscriptions=2), access=house.access) as site:
            yield site


async def truck(site: Site, version: int = 5, properties: Properties | None = None) -> Client:
    return await site.client(
        "truck-1", version, username="truck-1", password=b"secret", properties=properties
    )


def reasons(packet: Packet) -> tuple[int, ...]:
    assert isinstance(packet, Suback | Unsuback), packet
    return packet.reasons


def why(packet: Packet) -> str | None:
    assert isinstance(packet, Suback | Unsuback), packet
    return packet.properties.reason_string if packet.properties is not None else None


async def test_a_suback_names_the_first_refused_filter_and_its_rule(site: Site) -> None:
    client = await truck(site)
    suback = await client.subscribe("to/truck-1/a", "from/truck-2", "else")
    assert reasons(suback) == (1, Reason.NOT_AUTHORIZED, Reason.NOT_AUTHORIZED)
    assert why(suback) == "truck-1 may not subscribe to from/truck-2"
    deep = "to/truck-1" + "/x" * 40
    suback = await client.subscribe(deep)
    assert reasons(suback) == (Reason.TOPIC_FILTER_INVALID,)
    assert why(suback) == f"{deep}: the topic has 42 levels, the limit is 32"
    suback = await client.subscribe("to/truck-1/b", "to/truck-1/c")
    assert reasons(suback) == (1, Reason.QUOTA_EXCEEDED)
    assert why(suback) == "to/truck-1/c: 2 subscriptions of one client, the limit"


async def test_a_long_filter_leaves_room_for_the_rule(site: Site) -> None:
    text = why(await (await truck(site)).subscribe("to/truck-1/" + "x" * 2000))
    assert text is not None
    assert text.startswith("to/truck-1/xxx")
    assert text.endswith("…: the topic has 2011 bytes, the limit is 1024")


async def test_an_unsuback_names_the_filter_that_nobody_had_subscribed_to(site: Site) -> None:
    client = await truck(site)
    await client.subscribe("to/truck-1/a")
    unsuback = await client.unsubscribe("to/truck-1/a", "to/truck-1/b", "c")
    assert reasons(unsuback) == (0, Reason.NO_SUBSCRIPTION_EXISTED, Reason.NO_SUBSCRIPTION_EXISTED)
    assert why(unsuback) == "to/truck-1/b: the client has no such subscription"


async def test_who_is_granted_everything_gets_no_text(site: Site) -> None:
    client = await truck(site)
    assert why(await client.subscribe("to/truck-1/a")) is None
    assert why(await client.unsubscribe("to/truck-1/a")) is None


@pytest.mark.parametrize(
    "asked",
    [Properties(request_problem_information=0), Properties(maximum_packet_size=45)],
    ids=["no problem information", "small packets"],
)
async def test_who_wants_no_text_or_has_no_room_for_it_gets_the_reasons_alone(
    site: Site, asked: Properties
) -> None:
    client = await truck(site, properties=asked)
    suback, unsuback = await client.subscribe("e" * 40), await client.unsubscribe("e" * 40)
    assert (reasons(suback), why(suback)) == ((Reason.NOT_AUTHORIZED,), None)
    assert (reasons(unsuback), why(unsuback)) == ((Reason.NO_SUBSCRIPTION_EXISTED,), None)


async def test_mqtt_3_1_1_has_no_room_for_words(site: Site) -> None:
    assert await (await truck(site, 4)).subscribe("else") == Suback(1, (0x80,))


# -- the node's own figures


ALL = """
[[rule]]
subscribe = ["#"]
"""
FIGURES = """
[[rule]]
subscribe = ["$SYS/broker/clients/#"]
"""


@pytest.mark.parametrize("wish", ["$SYS/#", "$SYS/broker/uptime", "$share/g/$SYS/broker/clients/total"])
async def test_everything_is_not_the_nodes_own_figures(wish: str) -> None:
    with living(device("root") + ALL) as house:
        async with serving(access=house.access) as site:
            client = await site.client("root", username="root", password=b"secret")
            suback = await client.subscribe(wish, "#")
            assert reasons(suback) == (Reason.NOT_AUTHORIZED, 1)
            assert why(suback) == f"root may not subscribe to {wish}"
            site.gateway.publish("t", b"x", 0, retain=False)
            assert (await client.message()).topic == "t", "no figure came"


async def test_a_rule_for_figures_lets_those_through_that_it_names() -> None:
    with living(device("truck-1") + ALL + FIGURES) as house:
        async with serving(access=house.access) as site:
            client = await site.client("truck-1", username="truck-1", password=b"secret")
            assert reasons(await client.subscribe("$SYS/#")) == (1,)
            found = {(await client.message()).topic for _ in range(7)}
            assert len(found) == 7
            assert all(topic.startswith("$SYS/broker/clients/") for topic in found)
            house.rewrite(device("truck-1") + ALL)
            await client.subscribe("t")
            site.now += 3_600_000_000_000
            site.gateway.look()
            site.gateway.publish("t", b"x", 0, retain=False)
            assert (await client.message()).topic == "t", "what is not allowed any more is not told"
