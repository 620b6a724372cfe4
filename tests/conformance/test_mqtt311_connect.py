"""MQTT 3.1.1, sections 3.1, 3.2 and 3.14, where it differs from MQTT 5."""

import struct

import pytest

from .house import House
from .wire import CONNACK, PUBACK, SUBSCRIBE, Hello, Will, acknowledge, disconnect, packet, publish, string


@pytest.mark.parametrize("level", [0, 1, 2, 3])
async def test_an_unknown_protocol_level_is_answered_with_code_1(house: House, level: int) -> None:
    client = await house.raw(4)
    client.send(Hello("a", 4, level=level).encode())
    (connack,) = await client.closed()
    assert (connack.kind, connack.reason, connack.session_present) == (CONNACK, 1, False)


async def test_mqtt_3_1_is_answered_with_code_1_or_hung_up_on(house: House) -> None:
    client = await house.raw(4)
    client.send(Hello("a", 4, level=3, name="MQIsdp").encode())
    assert [packet.reason for packet in await client.closed()] in ([], [1])


async def test_a_password_without_a_user_name_ends_the_connection(house: House) -> None:
    client = await house.raw(4)
    client.send(Hello("a", 4, password="p").encode())
    assert await client.closed() == []


async def test_a_connect_that_does_not_conform_gets_no_connack(house: House) -> None:
    head = string("MQTT") + bytes([4, 0x02])
    for body in (b"", string("MQTT"), head, head + struct.pack(">H", 0), head + b"\0\0\0\5a"):
        client = await house.raw(4)
        client.send(packet(0x10, body))
        assert await client.closed() == []


async def test_no_client_id_and_no_clean_session_is_answered_with_code_2(house: House) -> None:
    client = await house.raw(4)
    client.send(Hello("", 4, clean=False).encode())
    (connack,) = await client.closed()
    assert (connack.reason, connack.session_present) == (2, False)


async def test_a_client_id_that_is_not_taken_is_answered_with_code_2(house: House) -> None:
    client = await house.raw(4)
    client.send(Hello("x" * 60_000, 4).encode())
    (connack,) = await client.closed()
    assert (connack.reason, connack.session_present) == (2, False)


async def test_no_packet_but_the_session_s_own_says_goodbye(house: House) -> None:
    client = await house.connect("a", 4)
    client.send(publish("a/#", version=4))
    assert await client.closed() == [], "3.1.1 has no words for it"


async def test_a_disconnect_with_a_body_does_not_conform(house: House) -> None:
    watcher = await house.connect("w", 4)
    await watcher.subscribe("will")
    client = await house.connect("a", 4, will=Will("will", b"gone"))
    client.send(packet(0xE0, b"\0"))
    assert await client.closed() == []
    assert (await watcher.message()).payload == b"gone"


async def test_any_disconnect_takes_the_will_back(house: House) -> None:
    watcher = await house.connect("w", 4)
    await watcher.subscribe("will")
    client = await house.connect("a", 4, will=Will("will", b"gone"))
    client.send(disconnect())
    assert await client.closed() == []
    await watcher.quiet()


async def test_retained_messages_outlive_the_session(house: House) -> None:
    client = await house.connect("a", 4)
    await client.tell("kept", b"1", retain=True)
    client.send(disconnect())
    await client.closed()
    late = await house.connect("b", 4)
    await late.subscribe("kept")
    assert (await late.message()).payload == b"1"


async def test_a_kept_session_keeps_what_comes_at_qos_1_and_2(house: House) -> None:
    first = await house.come_back("a", 4)
    await first.subscribe(("t/+", 2))
    first.send(disconnect())
    await first.closed()
    sender = await house.connect("b", 4)
    await sender.tell("t/1", b"one", 1)
    await sender.tell("t/2", b"two", 2)
    again = await house.come_back("a", 4)
    assert {(m.qos, m.payload) for m in [await again.message(), await again.message()]} == {
        (1, b"one"),
        (2, b"two"),
    }


async def test_a_message_that_is_not_let_in_is_acknowledged_or_the_connection_closed(house: House) -> None:
    client = await house.connect("a", 4)
    client.publish("picky/x", b"", 1, 9)
    assert (await client.expect(PUBACK)).packet_id == 9


async def test_a_message_to_a_topic_that_is_not_taken_goes_nowhere(house: House) -> None:
    watcher = await house.connect("w", 4)
    await watcher.subscribe("#")
    await watcher.subscribe("$SYS/#")
    client = await house.connect("a", 4)
    client.publish("$SYS/forged", b"", 1, 9)
    await client.expect(PUBACK)
    assert "$SYS/forged" not in {p.topic for p in await watcher.until_quiet()}


async def test_transport_errors_end_one_connection(house: House) -> None:
    other = await house.connect("other", 4)
    client = await house.connect("a", 4)
    client.send(acknowledge(PUBACK, 1), packet(SUBSCRIBE << 4 | 2, b"\0\1"))
    assert await client.closed() == []
    await other.quiet()
