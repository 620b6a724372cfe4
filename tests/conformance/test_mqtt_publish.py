"""Section 3.3: messages and what is retained, in both versions."""

import pytest

from .house import House
from .wire import PUBACK, PUBLISH, PUBREC, PUBREL, acknowledge, packet, properties, publish, string

MALFORMED = 0x81


async def test_a_message_goes_to_who_has_asked_for_it_as_it_is(house: House, version: int) -> None:
    for payload in (b"", b"x", bytes(range(256)), b"x" * 70_000):
        client = await house.connect("a", version)
        await client.subscribe("t/ü")
        client.publish("t/ü", payload)
        message = await client.message()
        assert (message.topic, message.payload, message.dup, message.retain) == ("t/ü", payload, False, False)


async def test_versions_speak_with_each_other(house: House) -> None:
    old, new = await house.connect("old", 4), await house.connect("new", 5)
    await old.subscribe(("t", 2))
    await new.subscribe(("t", 2))
    for sender in (old, new):
        sender.publish("t", b"x", 1, 5)
        assert PUBLISH in {packet.kind for packet in await old.until_quiet()}
        assert PUBLISH in {packet.kind for packet in await new.until_quiet()}


@pytest.mark.parametrize("flags", [0x06, 0x07, 0x0E, 0x0F])
async def test_qos_3_ends_the_connection(house: House, version: int, flags: int) -> None:
    client = await house.connect("a", version)
    body = string("t") + b"\0\1" + (properties() if version == 5 else b"")
    client.send(packet(0x30 | flags, body))
    await client.refused(MALFORMED)


@pytest.mark.parametrize("retain", [False, True])
async def test_a_duplicate_at_qos_0_ends_the_connection(house: House, version: int, retain: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    client = await house.connect("a", version)
    client.send(publish("t", b"", 0, dup=True, retain=retain, version=version))
    await client.refused(MALFORMED)


@pytest.mark.parametrize("qos", [1, 2])
async def test_the_duplicate_mark_of_a_sender_is_its_own(house: House, version: int, qos: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 2))
    sender.send(publish("t", b"x", qos, 5, dup=True, version=version))
    if qos == 2:
        await sender.expect(PUBREC)
        sender.send(acknowledge(PUBREL, 5))  # a server may wait for it [4.3.3]
    assert not (await client.message()).dup


@pytest.mark.parametrize("topic", ["#", "+", "a/#", "a/+/b", "a+", "#/a"])
async def test_a_topic_with_a_wildcard_is_refused(house: House, version: int, topic: str) -> None:
    client = await house.connect("a", version)
    client.send(publish(topic, version=version))
    await client.refused(MALFORMED, 0x90)


async def test_an_empty_topic_is_refused(house: House, version: int) -> None:
    client = await house.connect("a", version)
    client.send(publish("", version=version))
    await client.refused(MALFORMED, 0x82, 0x90)


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\5abc"])
async def test_a_publish_without_its_topic_is_malformed(house: House, version: int, body: bytes) -> None:
    client = await house.connect("a", version)
    client.send(packet(0x30, body))
    await client.refused(MALFORMED)


@pytest.mark.parametrize(("qos", "kind"), [(0, None), (1, PUBACK), (2, PUBREC)])
async def test_a_message_is_answered_by_the_rules_of_its_qos(
    house: House, version: int, qos: int, kind: int | None
) -> None:
    client = await house.connect("a", version)
    client.publish("t", b"", qos, 5)
    assert [packet.kind for packet in await client.until_quiet()] == ([] if kind is None else [kind])


# -- retained messages


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_retained_message_goes_to_who_asks_later(house: House, version: int, qos: int) -> None:
    sender = await house.connect("b", version)
    await sender.tell("t", b"x", qos, retain=True)
    client = await house.connect("a", version)
    await client.subscribe(("t", 2))
    message = await client.message()
    assert (message.payload, message.qos, message.retain) == (b"x", qos, True)
    await client.quiet()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_retained_message_takes_the_place_of_the_one_before(
    house: House, version: int, qos: int
) -> None:
    sender = await house.connect("b", version)
    await sender.tell("t", b"old", 1, retain=True)
    await sender.tell("t", b"new", qos, retain=True)
    client = await house.connect("a", version)
    await client.subscribe(("t", 2))
    message = await client.message()
    assert (message.payload, message.qos) == (b"new", qos)
    await client.quiet()


async def test_an_empty_retained_message_forgets_the_one_before(house: House, version: int) -> None:
    present = await house.connect("p", version)
    await present.subscribe("t")
    sender = await house.connect("b", version)
    await sender.tell("t", b"x", retain=True)
    await sender.tell("t", b"", retain=True)
    assert [(await present.message()).payload for _ in range(2)] == [b"x", b""], "as any other message"
    client = await house.connect("a", version)
    await client.subscribe("t")
    await client.quiet()


async def test_an_empty_retained_message_is_not_kept(house: House, version: int) -> None:
    sender = await house.connect("b", version)
    await sender.tell("t", b"", retain=True)
    client = await house.connect("a", version)
    await client.subscribe("#")
    await client.quiet()


async def test_a_message_without_the_flag_leaves_what_is_retained(house: House, version: int) -> None:
    sender = await house.connect("b", version)
    await sender.tell("t", b"kept", retain=True)
    await sender.tell("t", b"passing")
    await sender.tell("t", b"")
    client = await house.connect("a", version)
    await client.subscribe("t")
    assert (await client.message()).payload == b"kept"
    await client.quiet()


async def test_a_message_without_the_flag_is_not_retained(house: House, version: int) -> None:
    sender = await house.connect("b", version)
    await sender.tell("t", b"passing")
    client = await house.connect("a", version)
    await client.subscribe("t")
    await client.quiet()


async def test_an_established_subscription_gets_a_retained_message_as_any_other(
    house: House, version: int
) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 1))
    await sender.tell("t", b"x", retain=True)
    assert not (await client.message()).retain


async def test_each_topic_that_fits_has_a_retained_message_of_its_own(house: House, version: int) -> None:
    sender = await house.connect("b", version)
    for n in range(5):
        await sender.tell(f"t/{n}", b"%d" % n, retain=True)
    await sender.tell("u/0", b"other", retain=True)
    client = await house.connect("a", version)
    await client.subscribe("t/+")
    messages = [await client.message() for _ in range(5)]
    assert {m.topic: m.payload for m in messages} == {f"t/{n}": b"%d" % n for n in range(5)}
    await client.quiet()


async def test_retained_messages_outlive_their_sender_and_the_node(house: House, version: int) -> None:
    sender = await house.connect("b", version)
    await sender.tell("t", b"x", retain=True)
    await sender.cut()
    await house.close()
    await house.open()
    client = await house.connect("a", version)
    await client.subscribe("t")
    assert (await client.message()).payload == b"x"
