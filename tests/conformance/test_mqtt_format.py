"""Sections 1.5 and 2: strings, integers, fixed headers and packet identifiers, in both versions."""

import asyncio
import struct
from collections.abc import Callable

import pytest

from .house import Client, House
from .wire import (
    CONNACK,
    PUBACK,
    PUBLISH,
    PUBREC,
    SUBACK,
    UNSUBACK,
    USER,
    Hello,
    Will,
    acknowledge,
    packet,
    properties,
    publish,
    string,
    subscribe,
    unsubscribe,
)

MALFORMED, PROTOCOL_ERROR = 0x81, 0x82
ILL_FORMED = {
    "surrogate": b"a\xed\xa0\x80",  # U+D800
    "last surrogate": b"a\xed\xbf\xbf",  # U+DFFF
    "overlong": b"a\xc0\xaf",
    "alone": b"a\x80",
    "cut": b"a\xe2\x82",
    "never": b"a\xff",
    "beyond": b"a\xf4\x90\x80\x80",  # U+110000
}
PLACES: dict[str, Callable[[bytes, int], bytes]] = {
    "topic": lambda text, version: publish(text, version=version),
    "filter": lambda text, version: subscribe(1, (text, 0), version=version),
    "unsubscribe": lambda text, version: unsubscribe(1, text, version=version),
}
LOGINS: dict[str, Callable[[bytes, int], Hello]] = {
    "client id": Hello,
    "will topic": lambda text, version: Hello("a", version, will=Will(text)),
    "user name": lambda text, version: Hello("a", version, username=text),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ILL_FORMED)
async def test_ill_formed_utf_8_ends_the_connection(
    house: House, version: int, kind: str, place: str
) -> None:
    client = await house.connect("a", version)
    client.send(PLACES[place](ILL_FORMED[kind], version))
    await client.refused(MALFORMED)


@pytest.mark.parametrize("place", LOGINS)
@pytest.mark.parametrize("kind", ILL_FORMED)
async def test_ill_formed_utf_8_in_a_connect_ends_the_connection(
    house: House, version: int, kind: str, place: str
) -> None:
    client = await house.raw(version)
    client.send(LOGINS[place](ILL_FORMED[kind], version).encode())
    await client.refused(MALFORMED)


@pytest.mark.parametrize("place", PLACES)
async def test_a_null_character_ends_the_connection(house: House, version: int, place: str) -> None:
    client = await house.connect("a", version)
    client.send(PLACES[place](b"a\0b", version))
    await client.refused(MALFORMED)


@pytest.mark.parametrize("place", LOGINS)
async def test_a_null_character_in_a_connect_ends_the_connection(
    house: House, version: int, place: str
) -> None:
    client = await house.raw(version)
    client.send(LOGINS[place](b"a\0b", version).encode())
    await client.refused(MALFORMED)


@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"a\0"])
@pytest.mark.parametrize("second", [False, True])
async def test_both_strings_of_a_user_property_are_checked(house: House, bad: bytes, second: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    client = await house.connect("a")
    pair = string("k") + string(bad) if second else string(bad) + string("v")
    body = string("t") + bytes([len(pair) + 1, USER]) + pair
    client.send(packet(0x30, body))
    await client.refused(MALFORMED)


async def test_a_byte_order_mark_is_a_character_like_any_other(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.subscribe("\ufefft", "t")
    client.publish("\ufefft", b"marked")
    client.publish("t", b"plain")
    assert [(await client.message()).topic for _ in range(2)] == ["\ufefft", "t"]
    await client.quiet()


async def test_a_remaining_length_longer_than_it_needs_ends_the_connection(
    house: House, version: int
) -> None:
    client = await house.connect("a", version)
    client.send(b"\xc0\x80\x00")
    await client.refused(MALFORMED)


async def test_a_remaining_length_of_five_bytes_ends_the_connection(house: House, version: int) -> None:
    client = await house.connect("a", version)
    client.send(b"\x30\xff\xff\xff\xff\x01")
    await client.refused(MALFORMED)


async def test_a_property_length_longer_than_it_needs_ends_the_connection(house: House) -> None:
    client = await house.connect("a")
    client.send(packet(0x30, string("t") + b"\x80\x00x"))
    await client.refused(MALFORMED)


async def test_a_packet_without_properties_says_so_by_a_length_of_zero(house: House) -> None:
    client = await house.connect("a")
    await client.subscribe("t")  # the SUBACK's are read
    client.publish("t", b"x")
    message = await client.message()
    assert message.properties == []
    assert message.size == 2 + 3 + 1 + 1, "a topic of one character, a length of zero, and the payload"


async def test_a_publish_that_ends_before_its_property_length_is_malformed(house: House) -> None:
    client = await house.connect("a")
    client.send(packet(0x30, string("t")))
    await client.refused(MALFORMED)


FLAGS = {
    "PUBACK": (0x40, struct.pack(">H", 1)),
    "PUBREC": (0x50, struct.pack(">H", 1)),
    "PUBREL": (0x62, struct.pack(">H", 1)),
    "PUBCOMP": (0x70, struct.pack(">H", 1)),
    "PINGREQ": (0xC0, b""),
    "DISCONNECT": (0xE0, b""),
}


def _wrong_flags(version: int) -> list[bytes]:
    """Return packets whose flags are not those of their type, all else being right."""
    plain = {name: packet(first, body) for name, (first, body) in FLAGS.items()}
    plain["SUBSCRIBE"] = subscribe(1, ("t", 0), version=version)
    plain["UNSUBSCRIBE"] = unsubscribe(1, "t", version=version)
    return [
        bytes([data[0] & 0xF0 | flags]) + data[1:]
        for data in plain.values()
        for flags in range(16)
        if flags != data[0] & 0x0F
    ]


async def test_flags_that_a_type_does_not_have_end_the_connection(house: House, version: int) -> None:
    for data in _wrong_flags(version):
        client = await house.connect("a", version)
        client.send(data)
        await client.refused(MALFORMED)


@pytest.mark.parametrize("flags", range(1, 16))
async def test_flags_of_a_connect_end_the_connection(house: House, version: int, flags: int) -> None:
    client = await house.raw(version)
    data = Hello("a", version).encode()
    client.send(bytes([data[0] | flags]) + data[1:])
    assert all(packet.reason >= 0x80 or version == 4 for packet in await client.closed())


@pytest.mark.parametrize("first", [0x00, 0x0F, 0x20, 0x90, 0xB0, 0xD0])
async def test_a_packet_that_a_client_never_sends_ends_the_connection(
    house: House, version: int, first: int
) -> None:
    client = await house.connect("a", version)
    body = {0x20: b"\0\0", 0x90: b"\0\1\0", 0xB0: b"\0\1"}.get(first, b"")
    client.send(packet(first, body))
    await client.refused(MALFORMED, PROTOCOL_ERROR)


async def test_packet_type_15_does_not_exist_in_3_1_1(house: House) -> None:
    client = await house.connect("a", 4)
    client.send(packet(0xF0))
    await client.refused()


@pytest.mark.parametrize("which", ["PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"])
async def test_a_packet_identifier_of_zero_ends_the_connection(
    house: House, version: int, which: str
) -> None:
    client = await house.connect("a", version)
    client.send(
        {
            "PUBLISH": publish("t", b"", 1, 0, version=version),
            "SUBSCRIBE": subscribe(0, ("t", 0), version=version),
            "UNSUBSCRIBE": unsubscribe(0, "t", version=version),
        }[which]
    )
    await client.refused(MALFORMED, PROTOCOL_ERROR)


async def test_a_message_at_qos_0_has_no_packet_identifier(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.subscribe(("t", 1))
    client.publish("t", b"\0\1payload")
    message = await client.expect(PUBLISH)
    assert (message.qos, message.packet_id, message.payload) == (0, 0, b"\0\1payload")


async def _unacknowledged(client: Client, count: int) -> list[int]:
    return [(await client.expect(PUBLISH)).packet_id for _ in range(count)]


async def test_messages_in_flight_have_identifiers_of_their_own(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.subscribe(("t", 2))
    sender = await house.connect("b", version)
    for n in range(100):
        sender.publish("t", b"", 1, n + 1)
    ids = await _unacknowledged(client, 100)
    assert len(set(ids)) == 100
    assert 0 not in ids


async def test_an_identifier_in_use_is_left_out_when_they_come_round_again(
    house: House, version: int
) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 1))
    await sender.tell("t")
    (kept,) = await _unacknowledged(client, 1)
    seen: set[int] = set()
    for _ in range(132):
        sender.send(*(publish("t", b"", 1, n + 1, version=version) for n in range(500)))
        ids = await _unacknowledged(client, 500)
        client.send(*(acknowledge(PUBACK, packet_id) for packet_id in ids))
        seen.update(ids)
    assert seen == set(range(1, 0x10000)) - {kept}


async def test_an_acknowledgement_has_the_identifier_of_its_message(house: House, version: int) -> None:
    client = await house.connect("a", version)
    for qos, kind in ((1, PUBACK), (2, PUBREC)):
        for packet_id in (1, 0x1234, 0xFFFF):
            client.publish("t", b"", qos, packet_id)
            assert (await client.expect(kind)).packet_id == packet_id


async def test_suback_and_unsuback_have_the_identifier_of_what_they_answer(
    house: House, version: int
) -> None:
    client = await house.connect("a", version)
    for packet_id in (1, 0x1234, 0xFFFF):
        client.send(subscribe(packet_id, ("t", 0), version=version))
        assert (await client.expect(SUBACK)).packet_id == packet_id
        client.send(unsubscribe(packet_id, "t", version=version))
        assert (await client.expect(UNSUBACK)).packet_id == packet_id


async def test_both_sides_number_their_messages_for_themselves(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.subscribe(("t", 1))
    client.publish("t", b"first", 1, 1)
    came = {packet.kind: packet for packet in await client.until_quiet()}
    ours = came[PUBLISH].packet_id
    assert came[PUBACK].packet_id == 1
    client.publish("t", b"second", 1, ours)  # in use by the server, whose first message is not acknowledged
    came = {packet.kind: packet for packet in await client.until_quiet()}
    assert came[PUBLISH].payload == b"second"
    assert came[PUBACK].packet_id == ours


async def test_packets_may_be_cut_and_joined_anywhere(house: House, version: int) -> None:
    client = await house.raw(version)
    data = Hello("a", version).encode() + subscribe(1, ("t", 0), version=version)
    data += publish("t", b"x" * 300, 1, 9, version=version)
    for byte in data:
        client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert [(await client.next()).kind for _ in range(4)] == [CONNACK, SUBACK, PUBLISH, PUBACK]


async def test_a_property_that_is_unknown_or_elsewhere_at_home_ends_the_connection(house: House) -> None:
    for body in (b"\x7f\0", b"\x12\0\1a", b"\x1f\0\1a", b"\x13\0\1", b"\x23\0\1\x23\0\2", b"\x01\2"):
        client = await house.connect("a")
        client.send(packet(0x30, string("t") + bytes([len(body)]) + body))
        await client.refused(MALFORMED, PROTOCOL_ERROR)


async def test_a_packet_with_bytes_left_over_ends_the_connection(house: House, version: int) -> None:
    for data in (packet(0xC0, b"x"), packet(0x40, b"\0\1\0" + properties() + b"x")):
        client = await house.connect("a", version)
        client.send(data)
        await client.refused(MALFORMED)
