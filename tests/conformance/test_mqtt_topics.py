"""Section 4.7: topic names and filters, in both versions."""

import pytest

from .house import House
from .wire import PUBACK, PUBLISH, publish, subscribe, unsubscribe

MALFORMED, INVALID_FILTER = 0x81, 0x8F

FITS = [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/tennis/player1/#", "sport/tennis/player2", False),
    ("sport/#", "sport", True),
    ("#", "any/thing", True),
    ("#", "/", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+", "finance", True),
    ("+", "/finance", False),
    ("/+", "/finance", True),
    ("+/+", "/finance", True),
    ("+/tennis/#", "sport/tennis/x/y", True),
    ("sport/+/player1", "sport/tennis/player1", True),
    ("sport/+/player1", "sport/player1", False),
    ("finance", "/finance", False),
    ("finance", "finance/", False),
    ("ACCOUNTS", "Accounts", False),
    ("Accounts payable", "Accounts payable", True),
    ("/", "/", True),
    ("a//b", "a//b", True),
    ("a/+/b", "a//b", True),
    ("a//b", "a/b", False),
    ("\u00c5", "\u00c5", True),
    ("\u00c5", "A\u030a", False),  # the same letter, composed and not
    ("\u212b", "\u00c5", False),
    ("e\u0301", "\u00e9", False),
    ("\U0001f600/+", "\U0001f600/\U0010ffff", True),
    ("a/\ufeff", "a/", False),
]


@pytest.mark.parametrize(("wish", "topic", "fits"), FITS)
async def test_a_filter_fits_the_topics_that_the_text_says(
    house: House,
    version: int,
    wish: str,
    topic: str,
    fits: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    client = await house.connect("a", version)
    await client.subscribe(wish)
    client.publish(topic, b"x")
    assert [packet.topic for packet in await client.until_quiet()] == ([topic] if fits else [])


@pytest.mark.parametrize(("wish", "topic", "fits"), FITS)
async def test_a_filter_finds_the_retained_messages_that_the_text_says(
    house: House,
    version: int,
    wish: str,
    topic: str,
    fits: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    sender = await house.connect("b", version)
    await sender.tell(topic, b"kept", retain=True)
    client = await house.connect("a", version)
    await client.subscribe(wish)
    assert [packet.topic for packet in await client.until_quiet()] == ([topic] if fits else [])


async def test_wildcards_do_not_reach_topics_that_begin_with_a_dollar(house: House, version: int) -> None:
    client, hidden = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe("$SYS/#")
    await hidden.subscribe("#", "+/#", "+/+/+", "+/broker/+/+", "+/broker/#")
    house.forward(100)
    message = await client.message()
    assert message.topic.startswith("$SYS/")
    await hidden.quiet()


async def test_clients_do_not_speak_to_each_other_on_topics_that_begin_with_a_dollar(
    house: House, version: int
) -> None:
    client = await house.connect("a", version)
    await client.subscribe("$private/#", "#", "+/x")
    client.publish("$private/x", b"x", 1, 9)
    client.publish("public/x", b"x")
    await client.expect(PUBACK)
    assert [packet.topic for packet in await client.until_quiet()] == ["public/x"]


@pytest.mark.parametrize("wish", ["sport/tennis#", "sport/tennis/#/ranking", "#/", "a#", "##", "#/#", "a/#b"])
async def test_a_multi_level_wildcard_that_is_not_a_last_level_is_refused(
    house: House, version: int, wish: str
) -> None:
    for data in (subscribe(1, (wish, 0), version=version), unsubscribe(1, wish, version=version)):
        client = await house.connect("a", version)
        client.send(data)
        await client.refused(MALFORMED, INVALID_FILTER)


@pytest.mark.parametrize("wish", ["sport+", "+sport", "a/+b", "a/b+/c", "++", "+#"])
async def test_a_single_level_wildcard_that_is_not_a_level_is_refused(
    house: House, version: int, wish: str
) -> None:
    for data in (subscribe(1, (wish, 0), version=version), unsubscribe(1, wish, version=version)):
        client = await house.connect("a", version)
        client.send(data)
        await client.refused(MALFORMED, INVALID_FILTER)


async def test_an_empty_filter_is_refused(house: House, version: int) -> None:
    for data in (subscribe(1, ("", 0), version=version), unsubscribe(1, "", version=version)):
        client = await house.connect("a", version)
        client.send(data)
        await client.refused(MALFORMED, INVALID_FILTER, 0x82)


async def test_the_longest_topic_that_is_taken_arrives_whole_and_a_longer_one_ends_nobody_else(
    house: House, version: int
) -> None:
    client = await house.connect("a", version)
    await client.subscribe("#")
    topic = "x" * 1000
    client.publish(topic)
    assert (await client.message()).topic == topic
    other = await house.connect("b", version)
    other.send(publish("y" * 65_535, version=version))
    assert all(packet.kind == PUBLISH for packet in await client.until_quiet())
