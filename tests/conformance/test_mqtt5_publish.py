"""MQTT 5, section 3.3: properties, aliases, expiry, flow control and subscription identifiers."""

import pytest

from .house import Client, House
from .reading import Packet
from .wire import (
    ALIAS_MAXIMUM,
    CONTENT_TYPE,
    CORRELATION,
    MESSAGE_EXPIRY,
    PAYLOAD_FORMAT,
    PUBACK,
    PUBLISH,
    PUBREC,
    RECEIVE_MAXIMUM,
    RESPONSE_TOPIC,
    SUBSCRIPTION_ID,
    TOPIC_ALIAS,
    USER,
    Property,
    acknowledge,
    packet,
    properties,
    publish,
    string,
)

MALFORMED, PROTOCOL_ERROR, ALIAS_INVALID = 0x81, 0x82, 0x94


async def test_a_message_s_properties_reach_its_subscribers_unaltered(house: House) -> None:
    some: tuple[Property, ...] = (
        (PAYLOAD_FORMAT, 1),
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (RESPONSE_TOPIC, "answers/ü"),
        (CORRELATION, bytes(range(256))),
        (USER, ("z", "1")),
        (USER, ("a", "2")),
        (USER, ("z", "1")),
        (USER, ("", "")),
    )
    client, sender = await house.connect("a"), await house.connect("b")
    await client.subscribe(("t", 1))
    for qos in (0, 1):
        sender.publish("t", "ü".encode(), qos, some=some)
        message = await client.message()
        assert message.all(USER) == [value for key, value in some if key == USER]
        assert {key: message.get(key) for key, _ in some[:4]} == dict(some[:4])


async def test_a_payload_format_of_zero_stays(house: House) -> None:
    client, sender = await house.connect("a"), await house.connect("b")
    await client.subscribe("t")
    sender.publish("t", b"\xff", some=((PAYLOAD_FORMAT, 0),))
    assert (await client.message()).get(PAYLOAD_FORMAT) in {None, 0}


async def test_a_retained_message_keeps_its_properties(house: House) -> None:
    some: tuple[Property, ...] = ((CONTENT_TYPE, "x"), (USER, ("k", "v")), (CORRELATION, b"c"))
    sender = await house.connect("b")
    sender.publish("t", b"x", 1, retain=True, some=some)
    await sender.expect(PUBACK)
    client = await house.connect("a")
    await client.subscribe("t")
    assert sorted((await client.message()).properties) == sorted(some)


@pytest.mark.parametrize("topic", ["#", "a/+", "+", ""])
async def test_a_response_topic_that_is_no_topic_is_refused(house: House, topic: str) -> None:
    client = await house.connect("a")
    client.send(publish("t", some=((RESPONSE_TOPIC, topic),)))
    await client.refused(MALFORMED, PROTOCOL_ERROR, 0x90)


@pytest.mark.parametrize("key", [RESPONSE_TOPIC, CONTENT_TYPE])
@pytest.mark.parametrize("bad", [b"\xff", b"a\0"])
async def test_a_property_that_is_no_utf_8_is_malformed(house: House, key: int, bad: bytes) -> None:
    client = await house.connect("a")
    client.send(publish("t", some=((key, bad),)))
    await client.refused(MALFORMED)


async def test_a_request_is_answered_on_its_response_topic(house: House) -> None:
    client = await house.connect("a")
    await client.subscribe("answers")
    client.publish("ask/x", b"?", some=((RESPONSE_TOPIC, "answers"), (CORRELATION, b"42")))
    answer = await client.message()
    assert (answer.payload, answer.get(CORRELATION)) == (b"x?", b"42")


# -- message expiry


async def test_an_expiry_counts_on_while_a_message_waits(house: House) -> None:
    sender = await house.connect("b")
    sender.publish("t", b"x", 1, retain=True, some=((MESSAGE_EXPIRY, 100),))
    await sender.expect(PUBACK)
    house.forward(40)
    client = await house.connect("a")
    await client.subscribe("t")
    left = (await client.message()).get(MESSAGE_EXPIRY)
    assert isinstance(left, int)
    assert 58 <= left <= 60


async def test_an_expired_message_is_not_retained_for_anyone(house: House) -> None:
    sender = await house.connect("b")
    sender.publish("t", b"x", 1, retain=True, some=((MESSAGE_EXPIRY, 100),))
    await sender.expect(PUBACK)
    house.forward(101)
    client = await house.connect("a")
    await client.subscribe("t")
    await client.quiet()


async def test_an_expired_message_is_not_delivered_to_who_comes_back(house: House) -> None:
    first = await house.come_back("a")
    await first.subscribe(("t", 1))
    await first.cut()
    sender = await house.connect("b")
    sender.publish("t", b"short", 1, some=((MESSAGE_EXPIRY, 10),))
    await sender.expect(PUBACK)
    sender.publish("t", b"long", 1, some=((MESSAGE_EXPIRY, 100),))
    await sender.expect(PUBACK)
    house.forward(50)
    again = await house.come_back("a")
    message = await again.message()
    assert message.payload == b"long"
    assert message.get(MESSAGE_EXPIRY) in {49, 50}
    await again.quiet()


async def test_a_message_that_waits_for_the_window_expires_too(house: House) -> None:
    client, sender = await house.connect("a", 5, (RECEIVE_MAXIMUM, 1)), await house.connect("b")
    await client.subscribe(("t", 1))
    await sender.tell("t", b"in flight")
    sender.publish("t", b"waits", 1, some=((MESSAGE_EXPIRY, 10),))
    await sender.expect(PUBACK)
    first = await client.expect(PUBLISH)
    house.forward(50)
    client.send(acknowledge(PUBACK, first.packet_id))
    await client.quiet()


# -- topic aliases


def _aliased(alias: int, payload: bytes = b"", topic: str = "") -> bytes:
    return publish(topic, payload, some=((TOPIC_ALIAS, alias),))


async def _alias_maximum(client: Client) -> int:
    most = client.connack.get(ALIAS_MAXIMUM)
    assert isinstance(most, int)
    return most


async def test_every_alias_up_to_the_maximum_is_taken(house: House) -> None:
    client = await house.connect("a")
    await client.subscribe("t/#")
    most = await _alias_maximum(client)
    assert most
    for alias in range(1, most + 1):
        client.send(_aliased(alias, b"set", f"t/{alias}"))
    for alias in range(most, 0, -1):
        client.send(_aliased(alias, b"used"))
    topics = [(await client.message()).topic for _ in range(2 * most)]
    assert topics == [f"t/{n}" for n in range(1, most + 1)] + [f"t/{n}" for n in range(most, 0, -1)]


async def test_an_alias_may_be_set_anew(house: House) -> None:
    client = await house.connect("a")
    await client.subscribe("#")
    client.send(_aliased(1, b"", "a"), _aliased(1), _aliased(1, b"", "b"), _aliased(1))
    assert [(await client.message()).topic for _ in range(4)] == ["a", "a", "b", "b"]


async def test_an_alias_of_zero_or_above_the_maximum_ends_the_connection(house: House) -> None:
    client = await house.connect("a")
    most = await _alias_maximum(client)
    for alias in (0, most + 1, 0xFFFF):
        client = await house.connect("a")
        client.send(_aliased(alias, b"", "t"))
        assert await client.goodbye() == ALIAS_INVALID


async def test_an_alias_ends_with_its_connection(house: House) -> None:
    client = await house.come_back("a")
    client.send(_aliased(1, b"", "t"))
    await client.quiet()
    await client.cut()
    again = await house.come_back("a")
    again.send(_aliased(1))
    assert await again.goodbye() == PROTOCOL_ERROR


async def test_an_alias_belongs_to_one_client(house: House) -> None:
    first, other = await house.connect("a"), await house.connect("b")
    first.send(_aliased(1, b"", "t"))
    await first.quiet()
    other.send(_aliased(1))
    assert await other.goodbye() == PROTOCOL_ERROR


async def _topics_of(client: Client, count: int) -> list[str]:
    """Read messages and put the topics in that their aliases stand for."""
    names: dict[object, str] = {}
    topics: list[str] = []
    for _ in range(count):
        message = await client.expect(PUBLISH)
        alias = message.get(TOPIC_ALIAS)
        if alias is not None:
            assert alias != 0
            if message.topic:
                names[alias] = message.topic
        topics.append(message.topic or names[alias])
    return topics


@pytest.mark.parametrize("most", [None, 0, 1, 3])
async def test_a_server_keeps_to_the_client_s_alias_maximum(house: House, most: int | None) -> None:
    some = () if most is None else ((ALIAS_MAXIMUM, most),)
    client, sender = await house.connect("a", 5, *some), await house.connect("b")
    await client.subscribe("t/#")
    sent = [f"t/{n % 5}/a-rather-long-topic-name" for n in range(50)]
    for topic in sent:
        sender.publish(topic, b"x")
    seen: list[Packet] = []
    names: dict[object, str] = {}
    for topic in sent:
        message = await client.expect(PUBLISH)
        seen.append(message)
        alias = message.get(TOPIC_ALIAS)
        if message.topic and alias is not None:
            names[alias] = message.topic
        assert (message.topic or names[alias]) == topic
    aliases = {message.get(TOPIC_ALIAS) for message in seen} - {None}
    assert aliases <= set(range(1, (most or 0) + 1))


async def test_a_client_that_takes_aliases_gets_them_for_topics_that_come_again(house: House) -> None:
    client, sender = await house.connect("a", 5, (ALIAS_MAXIMUM, 10)), await house.connect("b")
    await client.subscribe("t/#")
    for _ in range(20):
        sender.publish("t/a-rather-long-topic-name", b"x")
    messages = [await client.expect(PUBLISH) for _ in range(20)]
    assert not all(message.topic for message in messages)
    assert messages[0].topic


# -- flow control


async def test_a_server_sends_no_more_than_the_client_s_receive_maximum(house: House) -> None:
    client, sender = await house.connect("a", 5, (RECEIVE_MAXIMUM, 3)), await house.connect("b")
    await client.subscribe(("t", 1))
    for n in range(6):
        await sender.tell("t", b"%d" % n)
    first = [await client.expect(PUBLISH) for _ in range(3)]
    await client.quiet()  # which is answered though the quota is used up
    await sender.tell("t", b"at QoS 0", 0)
    client.send(acknowledge(PUBACK, first[1].packet_id))
    one_more = [packet.payload for packet in await client.until_quiet()]
    assert [payload for payload in one_more if payload != b"at QoS 0"] == [b"3"]
    client.send(acknowledge(PUBACK, first[0].packet_id), acknowledge(PUBACK, first[2].packet_id))
    assert [packet.payload for packet in await client.until_quiet()][-2:] == [b"4", b"5"]


async def test_a_refusal_gives_the_quota_back(house: House) -> None:
    client, sender = await house.connect("a", 5, (RECEIVE_MAXIMUM, 1)), await house.connect("b")
    await client.subscribe(("t", 2))
    await sender.tell("t", b"1")
    await sender.tell("t", b"2", 2)
    await sender.tell("t", b"3", 2)
    client.send(acknowledge(PUBACK, (await client.expect(PUBLISH)).packet_id, 0x83))
    client.send(acknowledge(PUBREC, (await client.expect(PUBLISH)).packet_id, 0x83))
    assert (await client.expect(PUBLISH)).payload == b"3"


async def test_a_subscribe_and_a_ping_are_answered_with_the_quota_used_up(house: House) -> None:
    client, sender = await house.connect("a", 5, (RECEIVE_MAXIMUM, 1)), await house.connect("b")
    await client.subscribe(("t", 1))
    await sender.tell("t", b"1")
    await sender.tell("t", b"2")
    await client.expect(PUBLISH)
    await client.subscribe("u")
    client.publish("v", b"", 1, 9)
    await client.expect(PUBACK)
    await client.quiet()


async def test_a_client_may_have_as_many_in_flight_as_the_server_says(house: House) -> None:
    client = await house.connect("a")
    most = client.connack.get(RECEIVE_MAXIMUM) or 0xFFFF
    assert isinstance(most, int)
    count = min(most, 2000)
    client.send(*(publish("t", b"", 2, n + 1) for n in range(count)))
    for _ in range(count):
        await client.expect(PUBREC)
    await client.quiet()


async def test_a_client_over_the_server_s_receive_maximum_is_told_so(house: House) -> None:
    client = await house.connect("a")
    most = client.connack.get(RECEIVE_MAXIMUM)
    assert isinstance(most, int)
    client.send(*(publish("t", b"", 2, n + 1) for n in range(most + 1)))
    assert await client.goodbye() == 0x93


# -- subscription identifiers


async def test_a_client_s_message_has_no_subscription_identifier(house: House) -> None:
    client = await house.connect("a")
    client.send(publish("t", some=((SUBSCRIPTION_ID, 1),)))
    await client.refused(MALFORMED, PROTOCOL_ERROR)


async def test_a_message_has_the_identifier_of_its_subscription(house: House) -> None:
    client, sender = await house.connect("a"), await house.connect("b")
    for name, number in (("one", 1), ("two", 0x7F), ("three", 0x80), ("four", 268_435_455)):
        await client.subscribe((name, 1), some=((SUBSCRIPTION_ID, number),))
        for qos in (0, 1):
            sender.publish(name, b"", qos)
            assert (await client.message()).all(SUBSCRIPTION_ID) == [number]


async def test_a_message_has_the_identifiers_of_all_subscriptions_that_it_fits(house: House) -> None:
    client, sender = await house.connect("a"), await house.connect("b")
    await client.subscribe(("t/#", 0), some=((SUBSCRIPTION_ID, 5),))
    await client.subscribe(("t/+", 1), some=((SUBSCRIPTION_ID, 300),))
    await client.subscribe(("t/x", 2))
    sender.publish("t/x", b"", 1)
    await sender.expect(PUBACK)
    copies = [packet for packet in await client.until_quiet() if packet.kind == PUBLISH]
    found = sorted(str(number) for copy in copies for number in copy.all(SUBSCRIPTION_ID))
    assert found == ["300", "5"]
    assert max(copy.qos for copy in copies) == 1


async def test_a_retained_message_has_the_identifier_of_the_subscription_that_asks(house: House) -> None:
    sender = await house.connect("b")
    await sender.tell("t", b"x", retain=True)
    client = await house.connect("a")
    await client.subscribe(("t", 0), some=((SUBSCRIPTION_ID, 9),))
    assert (await client.message()).all(SUBSCRIPTION_ID) == [9]


async def test_a_new_subscription_has_its_own_identifier_or_none(house: House) -> None:
    client, sender = await house.connect("a"), await house.connect("b")
    await client.subscribe("t", some=((SUBSCRIPTION_ID, 1),))
    await client.subscribe("t", some=((SUBSCRIPTION_ID, 2),))
    sender.publish("t")
    assert (await client.message()).all(SUBSCRIPTION_ID) == [2]
    await client.subscribe("t")
    sender.publish("t")
    assert (await client.message()).all(SUBSCRIPTION_ID) == []


async def test_a_kept_session_keeps_its_identifiers(house: House) -> None:
    first = await house.come_back("a")
    await first.subscribe(("t", 1), some=((SUBSCRIPTION_ID, 8),))
    await first.cut()
    sender = await house.connect("b")
    await sender.tell("t", b"away")
    again = await house.come_back("a")
    assert (await again.message()).all(SUBSCRIPTION_ID) == [8]


async def test_a_subscription_identifier_of_zero_is_an_error(house: House) -> None:
    client = await house.connect("a")
    body = b"\0\1" + properties((SUBSCRIPTION_ID, 0)) + string("t") + b"\0"
    client.send(packet(0x82, body))
    await client.refused(PROTOCOL_ERROR)


async def test_the_topics_of_aliased_messages_are_what_was_subscribed_to(house: House) -> None:
    client, sender = await house.connect("a", 5, (ALIAS_MAXIMUM, 2)), await house.connect("b")
    await client.subscribe("t/+")
    for n in range(30):
        sender.publish(f"t/{n % 3}")
        sender.publish(f"u/{n % 3}")
    assert await _topics_of(client, 30) == [f"t/{n % 3}" for n in range(30)]
