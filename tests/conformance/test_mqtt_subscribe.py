"""Sections 3.8 to 3.11: subscriptions come and go, in both versions."""

import pytest

from .house import House
from .wire import PUBACK, PUBLISH, SUBACK, UNSUBACK, acknowledge, packet, properties, subscribe, unsubscribe

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82


async def test_a_subscribe_is_answered_filter_by_filter_in_order(house: House, version: int) -> None:
    client = await house.connect("a", version)
    suback = await client.subscribe(("a", 0), ("b", 1), ("c", 2), ("d/#", 1), ("+", 0))
    assert suback.reasons == (0, 1, 2, 1, 0)


async def test_each_qos_may_be_asked_for(house: House, version: int) -> None:
    client = await house.connect("a", version)
    for qos in (0, 1, 2):
        (granted,) = (await client.subscribe(("t", qos))).reasons
        assert granted <= qos


async def test_a_filter_that_is_not_taken_has_its_failure_at_its_place(house: House, version: int) -> None:
    client = await house.connect("a", version)
    suback = await client.subscribe(("a", 1), ("x/" * 5000, 1), ("b", 0))
    assert (suback.reasons[0], suback.reasons[2]) == (1, 0)
    assert suback.reasons[1] >= 0x80


async def test_many_filters_in_one_packet_are_as_many_packets(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.subscribe(("a", 1), ("b", 0), ("a", 0), ("c", 1))
    for topic in ("a", "b", "c"):
        client.publish(topic, b"", 1, 9)
    packets = await client.until_quiet()
    assert [(p.topic, p.qos) for p in packets if p.kind == PUBLISH] == [("a", 0), ("b", 0), ("c", 1)]


@pytest.mark.parametrize("asked", [0, 1, 2])
@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_a_message_has_the_lower_qos_of_the_two(
    house: House, version: int, asked: int, sent: int
) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    (granted,) = (await client.subscribe(("t", asked))).reasons
    await sender.tell("t", b"", sent)
    assert (await client.message()).qos == min(granted, sent)


@pytest.mark.parametrize("first", [0x80, 0x81, 0x83, 0x8F])
async def test_a_subscribe_with_other_flags_ends_the_connection(
    house: House, version: int, first: int
) -> None:
    client = await house.connect("a", version)
    client.send(bytes([first]) + subscribe(1, ("t", 0), version=version)[1:])
    await client.refused(MALFORMED)


@pytest.mark.parametrize("first", [0xA0, 0xA1, 0xA3, 0xAF])
async def test_an_unsubscribe_with_other_flags_ends_the_connection(
    house: House, version: int, first: int
) -> None:
    client = await house.connect("a", version)
    client.send(bytes([first]) + unsubscribe(1, "t", version=version)[1:])
    await client.refused(MALFORMED)


@pytest.mark.parametrize("first", [0x82, 0xA2])
async def test_no_filter_at_all_ends_the_connection(house: House, version: int, first: int) -> None:
    client = await house.connect("a", version)
    client.send(packet(first, b"\0\1" + (properties() if version == 5 else b"")))
    await client.refused(PROTOCOL_ERROR, MALFORMED)


async def test_a_filter_without_its_options_ends_the_connection(house: House, version: int) -> None:
    client = await house.connect("a", version)
    whole = subscribe(1, ("t", 0), version=version)
    client.send(packet(0x82, whole[2:-1]))
    await client.refused(MALFORMED)


@pytest.mark.parametrize("options", [0x03, 0x40, 0x80, 0xC0, 0xFF])
async def test_options_that_do_not_exist_end_the_connection(house: House, version: int, options: int) -> None:
    client = await house.connect("a", version)
    client.send(subscribe(1, ("t", options), version=version))
    await client.refused(MALFORMED, PROTOCOL_ERROR)


async def test_a_subscription_to_the_same_filter_takes_the_place_of_the_one_before(
    house: House, version: int
) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 1))
    await client.subscribe(("t", 0))
    await sender.tell("t", b"x")
    assert (await client.message()).qos == 0
    await client.quiet()
    assert (await _unsubscribed(house, client.version)) == b"gone"


async def _unsubscribed(house: House, version: int) -> bytes:
    """Subscribe twice, unsubscribe once: nothing is left."""
    client, sender = await house.connect("x", version), await house.connect("y", version)
    await client.subscribe(("u", 1))
    await client.subscribe(("u", 0))
    client.send(unsubscribe(3, "u", version=version))
    await client.expect(UNSUBACK)
    await sender.tell("u")
    await client.quiet()
    return b"gone"


async def test_retained_messages_are_sent_again_to_a_subscription_that_is_renewed(
    house: House, version: int
) -> None:
    sender = await house.connect("b", version)
    await sender.tell("t", b"kept", retain=True)
    client = await house.connect("a", version)
    for _ in range(2):
        await client.subscribe(("t", 1))
        assert (await client.message()).payload == b"kept"


async def test_a_renewed_subscription_misses_nothing(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 1))
    for n in range(60):
        sender.publish("t", b"%d" % n, 1, n + 1)
        if n % 10 == 5:
            client.send(subscribe(n, ("t", 1), version=version))
    payloads: list[bytes] = []
    while len(payloads) < 60:
        got = await client.next()
        if got.kind == PUBLISH:
            payloads.append(got.payload)
            client.send(acknowledge(PUBACK, got.packet_id))
        else:
            assert got.kind == SUBACK
    assert payloads == [b"%d" % n for n in range(60)]


async def test_overlapping_filters_give_the_highest_qos(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t/#", 0), ("t/+", 2), ("t/x", 1))
    await sender.tell("t/x", b"x", 2)
    packets = await client.until_quiet()
    assert max(p.qos for p in packets if p.kind == PUBLISH) == 2


async def test_an_unsubscribe_is_answered_even_where_there_was_nothing(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.subscribe("t")
    client.send(unsubscribe(5, "never", "t", "t/+", version=version))
    unsuback = await client.expect(UNSUBACK)
    assert unsuback.packet_id == 5
    if version == 5:
        assert unsuback.reasons == (0x11, 0, 0x11)


async def test_many_filters_in_one_unsubscribe_are_as_many_packets(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe("a", "b", "c")
    client.send(unsubscribe(5, "a", "c", version=version))
    await client.expect(UNSUBACK)
    for topic in ("a", "b", "c"):
        await sender.tell(topic)
    assert [(p.kind, p.topic) for p in await client.until_quiet()] == [(PUBLISH, "b")]


async def test_filters_are_compared_character_by_character(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe("t/+", "t/a")
    client.send(unsubscribe(5, "t/#", "T/+", "t/A", "t/+/", version=version))
    await client.expect(UNSUBACK)
    await sender.tell("t/b")
    assert (await client.message()).topic == "t/b"
    client.send(unsubscribe(6, "t/+", version=version))
    await client.expect(UNSUBACK)
    await sender.tell("t/b")
    await client.quiet()
    await sender.tell("t/a")
    assert (await client.message()).topic == "t/a"


async def test_after_an_unsubscribe_nothing_new_comes(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 1))
    client.send(unsubscribe(5, "t", version=version))
    await client.expect(UNSUBACK)
    await sender.tell("t")
    await client.quiet()


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_under_way_at_an_unsubscribe_is_seen_through(
    house: House, version: int, qos: int
) -> None:
    client = await house.come_back("a", version)
    sender = await house.connect("b", version)
    await client.subscribe(("t", 2))
    await sender.tell("t", b"under way", qos)
    message = await client.expect(PUBLISH)
    client.send(unsubscribe(5, "t", version=version))
    await client.expect(UNSUBACK)
    await client.cut()
    again = await house.come_back("a", version)
    resent = await again.message()
    assert (resent.payload, resent.packet_id, resent.dup) == (b"under way", message.packet_id, True)
    await again.quiet()
