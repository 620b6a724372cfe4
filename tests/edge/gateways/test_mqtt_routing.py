"""Who gets a message: identifiers, options, groups, over real loopback sockets."""

import pytest

from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.protocols.mqtt import (
    Connect,
    Properties,
    Publish,
    Reason,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    encode,
)

from .mqtt_support import Client, serving, until


async def subscribe_as(client: Client, identifier: int, *wishes: Subscription) -> None:
    """Subscribe with an identifier and read the SUBACK."""
    client.send(encode(Subscribe(900, wishes, Properties(subscription_ids=(identifier,))), 5))
    assert await client.next() == Suback(900, tuple(wish.qos for wish in wishes))


def identifiers(packet: Publish) -> tuple[int, ...]:
    found = packet.properties.subscription_ids if packet.properties is not None else None
    return tuple(sorted(found or ()))


@pytest.mark.parametrize("qos", [0, 1])
async def test_one_delivery_has_the_identifiers_of_all_subscriptions_that_fit(qos: int) -> None:
    async with serving() as site:
        device, other = await site.client("d"), await site.client("o")
        await subscribe_as(device, 7, Subscription("t/x", 0))
        await subscribe_as(device, 300_000, Subscription("t/#", qos), Subscription("u", 0))
        await device.subscribe(Subscription("t/+", 0))
        await other.subscribe(Subscription("t/x", qos))
        other.publish("t/x", b"1", qos)
        found = await device.message()
        assert (found.payload, found.qos, identifiers(found)) == (b"1", qos, (7, 300_000))
        other.publish("u", b"2", qos)
        assert identifiers(await device.message()) == (300_000,)
        plain = await other.next() if qos == 0 else await first_message(other)
        assert isinstance(plain, Publish)
        assert identifiers(plain) == ()


async def first_message(client: Client) -> Publish:
    while not isinstance(packet := await client.next(), Publish):
        pass
    return packet


async def test_a_new_subscription_replaces_the_identifier_of_the_one_before() -> None:
    async with serving() as site:
        device = await site.client("d")
        await subscribe_as(device, 1, Subscription("t", 0))
        await subscribe_as(device, 2, Subscription("t", 0))
        device.publish("t", b"a")
        assert identifiers(await device.message()) == (2,)
        await device.subscribe(Subscription("t", 0))
        device.publish("t", b"b")
        assert identifiers(await device.message()) == ()


async def test_identifiers_go_with_other_properties_and_with_retained_messages() -> None:
    async with serving() as site:
        device, other = await site.client("d"), await site.client("o", 4)
        properties = Properties(content_type="text/plain", payload_format=1, message_expiry=60)
        device.publish("t/r", b"kept", 1, retain=True, properties=properties)
        await device.next()
        await subscribe_as(device, 5, Subscription("t/+", 1, retain_as_published=True))
        found = await device.message()
        assert found.retain
        assert found.properties is not None
        assert found.properties.content_type == "text/plain"
        assert found.properties.payload_format == 1
        assert found.properties.message_expiry in {59, 60}
        assert identifiers(found) == (5,)
        await other.subscribe("t/#")
        assert (await other.message()).payload == b"kept"
        other.publish("t/r", b"next", retain=True)
        found = await device.message()
        assert (found.payload, found.retain, identifiers(found)) == (b"next", True, (5,))


async def test_what_a_function_publishes_has_identifiers_too() -> None:
    async with serving() as site:
        device = await site.client("d")
        await subscribe_as(device, 9, Subscription("acted/#", 1))
        device.publish("act/x", b"buzz")
        assert identifiers(await device.message()) == (9,)


async def test_a_message_of_its_own_has_the_identifiers_of_those_that_want_them() -> None:
    async with serving() as site:
        device, other = await site.client("d"), await site.client("o")
        await subscribe_as(device, 1, Subscription("t/#", 0, no_local=True))
        device.publish("t/a", b"unheard")
        await subscribe_as(device, 2, Subscription("t/+", 0))
        device.publish("t/a", b"own")
        found = await device.message()
        assert (found.payload, identifiers(found)) == (b"own", (2,))
        other.publish("t/a", b"other")
        assert identifiers(await device.message()) == (1, 2)


@pytest.mark.parametrize(
    ("handling", "again"), [(0, ["old", "old"]), (1, ["old"]), (2, [])], ids=["always", "if new", "never"]
)
async def test_retain_handling_says_when_retained_messages_come(handling: int, again: list[str]) -> None:
    async with serving() as site:
        device = await site.client("d")
        device.publish("t", b"old", 1, retain=True)
        await device.next()
        wish = Subscription("t", 0, retain_handling=handling)
        heard: list[str] = []
        for _ in range(2):
            device.session.subscribe(wish)
        device.publish("t", b"end")
        while not heard or heard[-1] != "end":
            packet = await device.next()
            if isinstance(packet, Publish):
                assert packet.retain is (packet.payload == b"old")
                heard.append(packet.payload.decode())
        assert heard[:-1] == again


async def members(site_clients: list[Client], topic_filter: str, qos: int = 1) -> None:
    for client in site_clients:
        answer = await client.subscribe(Subscription(topic_filter, qos))
        assert isinstance(answer, Suback)
        assert answer.reasons == (qos,)


@pytest.mark.parametrize("version", [4, 5])
async def test_each_message_goes_to_one_member_of_a_group_and_to_everyone_else(version: int) -> None:
    async with serving() as site:
        group = [await site.client(f"m{number}", version) for number in range(3)]
        await members(group, "$share/workers/jobs/+")
        alone, sender = await site.client("alone"), await site.client("s")
        await alone.subscribe("jobs/#")
        for number in range(6):
            sender.publish("jobs/a", b"%d" % number)
        for number, member in enumerate(group):
            assert [(await member.message()).payload for _ in range(2)] == [
                b"%d" % number,
                b"%d" % (number + 3),
            ]
        assert [(await alone.message()).payload for _ in range(6)] == [b"%d" % n for n in range(6)]


async def test_a_group_gets_nothing_that_was_retained_before_and_no_flag() -> None:
    async with serving() as site:
        device = await site.client("d")
        device.publish("jobs/a", b"kept", 1, retain=True)
        await device.next()
        await members([device], "$share/g/jobs/a")
        device.publish("jobs/a", b"live", retain=True)
        found = await device.message()
        assert (found.payload, found.retain) == (b"live", False)


async def test_members_that_leave_get_no_turn() -> None:
    async with serving() as site:
        group = [await site.client(f"m{number}") for number in range(3)]
        await members(group, "$share/g/j")
        sender = await site.client("s")
        group[0].goodbye()
        assert await group[1].unsubscribe("$share/g/j") == Unsuback(2, (0,))
        await until(lambda: site.stat("clients") == 3)
        for number in range(4):
            sender.publish("j", b"%d" % number)
        assert [(await group[2].message()).payload for _ in range(4)] == [b"0", b"1", b"2", b"3"]
        assert (await group[1].unsubscribe("$share/g/j")).reasons == (Reason.NO_SUBSCRIPTION_EXISTED,)


async def test_a_member_whose_window_is_full_is_passed_over() -> None:
    async with serving() as site:
        busy = await site.client("busy", properties=Properties(receive_maximum=1))
        free = await site.client("free")
        await members([busy, free], "$share/g/j")
        sender = await site.client("s")
        for number in range(6):
            sender.publish("j", b"%d" % number, 1)
        first = await busy.next()
        assert isinstance(first, Publish)
        heard = {first.payload} | {(await free.message()).payload for _ in range(5)}
        assert heard == {b"%d" % number for number in range(6)}


async def test_a_shared_subscription_has_its_identifier_and_no_local_is_a_protocol_error() -> None:
    async with serving() as site:
        device = await site.client("d")
        await subscribe_as(device, 4, Subscription("$share/g/t", 1))
        device.publish("t", b"x")
        assert identifiers(await device.message()) == (4,)
        device.send(encode(Subscribe(2, (Subscription("$share/g/t", no_local=True),)), 5))
        last = await device.ended()
        assert getattr(last, "reason", None) == Reason.PROTOCOL_ERROR


@pytest.mark.parametrize("wish", ["$share//a", "$share/g", "$share/+/a"])
async def test_a_share_name_that_is_none_ends_an_mqtt_5_connection_and_is_refused_in_3_1_1(wish: str) -> None:
    async with serving() as site:
        old, new = await site.client("old", 4), await site.client("new", 5)
        assert await old.subscribe(wish, "ok") == Suback(1, (0x80, 1))
        new.send(encode(Subscribe(2, (Subscription(wish),)), 5))
        last = await new.ended()
        assert getattr(last, "reason", None) == Reason.TOPIC_FILTER_INVALID


async def test_subscriptions_of_all_clients_are_bounded_in_number() -> None:
    async with serving(MqttConfig(max_all_subscriptions=3)) as site:
        one, two = await site.client("1"), await site.client("2")
        assert await one.subscribe("a", "b") == Suback(1, (1, 1))
        assert await two.subscribe("a", "b", "a") == Suback(
            1, (1, 0x97, 1), Properties(reason_string="b: 3 subscriptions of all clients, the limit")
        )
        assert site.stat("subscriptions_beyond_the_node") == 1
        assert await one.unsubscribe("b") == Unsuback(2, (0,))
        assert await two.subscribe("b") == Suback(2, (1,))


@pytest.mark.parametrize("shape", ["{0}/{0}/{0}/{0}/{0}/{0}/{0}/+", "+/{0}/#", "$share/{0}/a/+", "x/{0}"])
async def test_a_subscription_bomb_takes_no_more_bytes_than_its_limit(shape: str) -> None:
    async with serving(MqttConfig(max_subscription_bytes=200_000, max_subscriptions=100_000)) as site:
        bomb, other = await site.client("bomb"), await site.client("o")
        await other.subscribe("a/b")
        wishes = [Subscription(shape.format(number), 1) for number in range(500)]
        granted = 0
        for start in range(0, 500, 100):
            answer = await bomb.subscribe(*wishes[start : start + 100])
            assert isinstance(answer, Suback)
            assert set(answer.reasons) <= {1, 0x97}
            granted += answer.reasons.count(1)
        assert granted < 500
        assert site.stat("subscription_bytes") <= 200_000
        assert site.stat("subscriptions_beyond_the_node") == 500 - granted
        other.publish("a/b", b"still served")
        assert (await other.message()).payload == b"still served"
        bomb.goodbye()
        await until(lambda: site.stat("subscriptions") == 1)
        assert site.stat("subscription_bytes") < 2000


async def test_topics_that_many_listen_to_do_not_fill_the_memory_of_routes() -> None:
    async with serving() as site:
        device = await site.client("d")
        await device.subscribe(Subscription("#", 0))
        table = site.gateway.broker.table
        for number in range(17_000):
            table.route(f"t/{number}")
        assert len(table.plain) <= 16_384
        assert site.stat("routes_forgotten") == 1


KEPT = Properties(session_expiry=60)


@pytest.mark.parametrize("properties", [None, KEPT], ids=["ends with its connection", "outlives it"])
async def test_what_a_member_has_not_acknowledged_goes_to_another_when_its_session_ends(
    properties: Properties | None,
) -> None:
    async with serving() as site:
        first = await site.client("first", properties=properties)
        await subscribe_as(first, 7, Subscription("$share/g/j", 1))
        sender = await site.client("s")
        for number in range(3):
            sender.publish("j", b"%d" % number, 1)
            await sender.next()
        second = await site.client("second", properties=properties)
        await subscribe_as(second, 8, Subscription("$share/g/j", 1))
        taken = await first.next()
        assert isinstance(taken, Publish)
        assert taken.payload == b"0"
        first.session.acknowledge(taken.packet_id)
        first.flush()
        await first.next()
        first.hang_up()
        await until(lambda: site.stat("clients") == 2)
        if properties is not None:
            site.now += 61_000_000_000
            site.gateway.look()
        found = [await second.message() for _ in range(2)]
        assert [(one.payload, one.qos) for one in found] == [(b"1", 1), (b"2", 1)]
        assert [identifiers(one) for one in found] == [(8,), (8,)]
        assert site.stat("shared_handed_on") == 2


async def test_a_member_that_is_away_gets_nothing_while_another_is_there_and_all_of_it_when_none_is() -> None:
    async with serving() as site:
        away = await site.client("away", properties=KEPT)
        await members([away], "$share/g/j")
        there = await site.client("there")
        await members([there], "$share/g/j")
        away.hang_up()
        await until(lambda: site.stat("clients") == 1)
        sender = await site.client("s")
        for number in range(4):
            sender.publish("j", b"%d" % number, 1)
            await sender.next()
        assert [(await there.message()).payload for _ in range(4)] == [b"0", b"1", b"2", b"3"]
        there.goodbye()
        await until(lambda: site.stat("clients") == 1)
        sender.publish("j", b"kept", 1)
        await sender.next()
        again = await Client.open(site.port, Connect("away", 5, clean_start=False, properties=KEPT))
        site.clients.append(again)
        await again.next()
        assert again.connack.session_present
        assert (await again.message()).payload == b"kept"


async def test_a_message_at_qos_2_that_was_sent_goes_to_no_other_member() -> None:
    async with serving() as site:
        first = await site.client("first")
        await members([first], "$share/g/j", 2)
        sender = await site.client("s")
        packet = encode(Publish("j", b"once", 2, packet_id=1), 5)
        sender.send(packet)
        await sender.read(4)  # PUBREC
        assert (await first.read(1))[0] >> 4 == 3
        second = await site.client("second")
        await members([second], "$share/g/j", 2)
        first.hang_up()
        await until(lambda: site.stat("clients") == 2)
        sender.publish("j", b"next")
        assert (await second.message()).payload == b"next"
        assert site.stat("shared_handed_on") == 0
