"""Section 4.8 of 3.1.1 and 4.13 of MQTT 5: what a server does about errors."""

import pytest

from .house import House
from .wire import DISCONNECT, Hello, packet, publish, string, subscribe

VIOLATIONS = {
    "QoS 3": b"\x36\x05\0\1t\0\1",
    "a server's packet": packet(0x20, b"\0\0"),
    "packet type 0": packet(0x00),
    "a wildcard in a topic": b"\x30\x04\0\2a#",
    "a body that is too short": packet(0x82, b"\0"),
    "a second CONNECT": Hello("a", 4).encode(),
    "flags": b"\xc1\0",
}


@pytest.mark.parametrize("what", VIOLATIONS)
async def test_a_violation_ends_the_connection_and_nothing_of_it_takes_effect(
    house: House, version: int, what: str
) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("#")
    client = await house.connect("a", version)
    client.send(VIOLATIONS[what], publish("t", b"behind it", version=version))
    packets = await client.closed()
    if version == 4:
        assert packets == []
    else:
        assert [packet.kind for packet in packets] == [DISCONNECT]
        assert packets[0].reason >= 0x80
    await watcher.quiet()


async def test_what_came_before_a_violation_is_answered(house: House, version: int) -> None:
    client = await house.connect("a", version)
    client.send(subscribe(1, ("t", 0), version=version), publish("t", b"x", version=version), b"\0\0")
    packets = await client.closed()
    assert [packet.kind for packet in packets][:2] == [9, 3]


async def test_a_code_of_80_or_more_ends_the_connection_in_either_packet(house: House) -> None:
    refused = await house.raw()
    refused.send(Hello("a", level=9).encode())
    assert (await refused.closed())[-1].reason >= 0x80
    client = await house.connect("a")
    client.send(packet(0x30, string("t") + b"\x7f"))
    assert (await client.closed())[-1].reason >= 0x80


async def test_an_error_hurts_no_other_session(house: House, version: int) -> None:
    kept = await house.come_back("kept", version)
    await kept.subscribe(("t", 1))
    client = await house.connect("a", version)
    client.send(b"\0\0")
    await client.closed()
    kept.publish("t", b"x")
    assert (await kept.message()).payload == b"x"
