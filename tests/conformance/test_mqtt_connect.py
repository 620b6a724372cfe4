"""Sections 3.1, 3.2 and 3.14: how a connection begins and ends, in both versions."""

import string as characters
import struct

import pytest

from .house import House
from .wire import (
    CONNACK,
    DISCONNECT,
    PING,
    PINGRESP,
    Hello,
    Will,
    acknowledge,
    disconnect,
    packet,
    properties,
    publish,
    string,
    subscribe,
)

PROTOCOL_ERROR = 0x82
ALLOWED = characters.digits + characters.ascii_letters


@pytest.mark.parametrize(
    "data",
    [PING, subscribe(1, ("t", 0)), publish("t"), disconnect(), acknowledge(4, 1), packet(0x20, b"\0\0\0")],
    ids=["PINGREQ", "SUBSCRIBE", "PUBLISH", "DISCONNECT", "PUBACK", "CONNACK"],
)
async def test_a_first_packet_that_is_no_connect_ends_the_connection(house: House, data: bytes) -> None:
    client = await house.raw()
    client.send(data)
    assert await client.closed() == []


async def test_a_second_connect_ends_the_connection(house: House, version: int) -> None:
    client = await house.connect("a", version)
    client.send(Hello("a", version).encode())
    await client.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("name", ["mqtt", "MQTTX", "MQT", "", b"\xff\xfe\xfd\xfc"])
async def test_another_protocol_name_ends_the_connection(
    house: House, version: int, name: str | bytes
) -> None:
    client = await house.raw(version)
    client.send(Hello("a", version, name=name).encode())
    packets = await client.closed()
    assert all(packet.kind == CONNACK and packet.reason for packet in packets)


async def test_the_reserved_flag_of_a_connect_ends_the_connection(house: House, version: int) -> None:
    client = await house.raw(version)
    client.send(Hello("a", version, flags=0x03).encode())
    await client.refused(0x81)


CONTRADICTIONS = {
    "will QoS 1 without a will": (0x02 | 0x08, b""),
    "will QoS 2 without a will": (0x02 | 0x10, b""),
    "will QoS 3 without a will": (0x02 | 0x18, b""),
    "will retain without a will": (0x02 | 0x20, b""),
    "a will of QoS 3": (0x02 | 0x04 | 0x18, string("t") + string("p")),
    "a will that is not there": (0x02 | 0x04, b""),
    "a will without its message": (0x02 | 0x04, string("t")),
    "a will that nothing announces": (0x02, string("t") + string("p")),
    "a user name that is not there": (0x02 | 0x80, b""),
    "a user name that nothing announces": (0x02, string("u")),
    "a password that is not there": (0x02 | 0x80 | 0x40, string("u")),
    "a password that nothing announces": (0x02 | 0x80, string("u") + string("p")),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
async def test_a_connect_that_contradicts_its_flags_ends_the_connection(
    house: House, version: int, what: str
) -> None:
    flags, rest = CONTRADICTIONS[what]
    nothing = properties() if version == 5 else b""
    will = nothing if flags & 0x04 else b""
    head = string("MQTT") + bytes([version, flags]) + struct.pack(">H", 0)
    client = await house.raw(version)
    client.send(packet(0x10, head + nothing + string("a") + will + rest))
    await client.refused(0x81)


async def test_a_connect_without_a_client_id_field_ends_the_connection(house: House, version: int) -> None:
    head = string("MQTT") + bytes([version, 0x02]) + struct.pack(">H", 0)
    client = await house.raw(version)
    client.send(packet(0x10, head + (properties() if version == 5 else b"")))
    await client.refused(0x81)


async def test_the_fields_of_a_payload_stand_in_their_order(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("will/topic")
    will = Will("will/topic", b"will message")
    client = await house.connect("a", version, will=will, username="user", password="secret")
    await client.cut()
    message = await watcher.message()
    assert (message.topic, message.payload) == ("will/topic", b"will message")


@pytest.mark.parametrize("client_id", [ALLOWED[:23], ALLOWED[23:46], ALLOWED[46:], "0", "Z" * 23])
async def test_a_client_id_of_1_to_23_letters_and_digits_is_accepted(
    house: House, version: int, client_id: str
) -> None:
    assert (await house.connect(client_id, version)).connack.reason == 0


async def test_clients_without_an_id_do_not_take_each_others_session(house: House, version: int) -> None:
    first, second = await house.connect("", version), await house.connect("", version)
    await first.subscribe("t")
    await second.tell("t", b"for the first")
    assert (await first.message()).payload == b"for the first"
    await second.quiet()


async def test_the_first_packet_of_a_server_is_one_connack(house: House, version: int) -> None:
    client = await house.raw(version)
    client.send(Hello("a", version).encode(), subscribe(1, ("t", 0), version=version), PING)
    kinds = [(await client.next()).kind for _ in range(3)]
    assert kinds == [CONNACK, 9, PINGRESP], "and no second one"


async def test_a_clean_session_is_never_there_before(house: House, version: int) -> None:
    for _ in range(2):
        client = await house.connect("a", version)
        assert (client.connack.session_present, client.connack.reason) == (False, 0)
        await client.cut()


async def test_a_new_session_is_not_there_before(house: House, version: int) -> None:
    connack = (await house.come_back("new", version)).connack
    assert (connack.session_present, connack.reason) == (False, 0)


async def test_a_kept_session_is_there_and_has_its_subscriptions(house: House, version: int) -> None:
    first = await house.come_back("a", version)
    await first.subscribe(("t", 1))
    await first.cut()
    second = await house.come_back("a", version)
    assert (second.connack.session_present, second.connack.reason) == (True, 0)
    second.publish("t", b"x")
    assert (await second.message()).payload == b"x"


async def test_a_kept_session_gets_what_came_while_it_was_away(house: House, version: int) -> None:
    first = await house.come_back("a", version)
    await first.subscribe(("t", 1))
    await first.cut()
    sender = await house.connect("b", version)
    for n in range(5):
        await sender.tell("t", b"%d" % n, 1)
    second = await house.come_back("a", version)
    assert [(await second.message()).payload for _ in range(5)] == [b"%d" % n for n in range(5)]


async def test_a_clean_start_forgets_the_session(house: House, version: int) -> None:
    first = await house.come_back("a", version)
    await first.subscribe(("t", 1))
    await first.cut()
    sender = await house.connect("b", version)
    await sender.tell("t", b"lost")
    second = await house.connect("a", version)
    assert not second.connack.session_present
    await sender.tell("t", b"lost too")
    await second.quiet()
    await second.cut()
    third = await house.come_back("a", version)
    assert not third.connack.session_present, "nor does the clean one leave anything"
    await sender.tell("t", b"lost as well")
    await third.quiet()


async def test_a_client_id_names_a_session(house: House, version: int) -> None:
    first, other = await house.come_back("a", version), await house.come_back("b", version)
    await first.subscribe(("first", 1))
    await other.subscribe(("other", 1))
    await first.cut()
    await other.cut()
    sender = await house.connect("s", version)
    await sender.tell("first", b"1")
    await sender.tell("other", b"2")
    again = await house.come_back("b", version)
    assert (await again.message()).topic == "other"
    await again.quiet()


async def test_a_session_outlives_the_node(house: House, version: int) -> None:
    first = await house.come_back("a", version)
    await first.subscribe(("t", 1))
    await first.cut()
    sender = await house.connect("b", version)
    await sender.tell("t", b"kept")
    await house.close()
    await house.open()
    second = await house.come_back("a", version)
    assert second.connack.session_present
    assert (await second.message()).payload == b"kept"


async def test_a_second_connection_takes_the_session_over(house: House, version: int) -> None:
    first = await house.connect("a", version)
    second = await house.connect("a", version)
    await first.refused(0x8E)
    await second.quiet()


async def test_a_connect_that_is_refused_is_answered_once_and_what_follows_is_not_processed(
    house: House, version: int
) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("#")
    client = await house.raw(version)
    hello = Hello("x" * 60_000, version, clean=False)
    client.send(hello.encode(), publish("t", b"no", version=version), PING)
    packets = await client.closed()
    assert len(packets) == 1
    assert packets[0].reason == (0x85 if version == 5 else 2)
    assert not packets[0].session_present
    await watcher.quiet()


@pytest.mark.parametrize("keep_alive", [1, 10, 0xFFFF])
async def test_a_client_silent_for_one_and_a_half_keep_alives_is_dropped(
    house: House, version: int, keep_alive: int
) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("will")
    client = await house.connect("a", version, keep_alive=keep_alive, will=Will("will", b"gone"))
    await client.quiet()
    house.forward(1.4 * keep_alive)
    await client.quiet()  # heard again, it counts from here
    house.forward(1.4 * keep_alive)
    await client.quiet()
    house.forward(1.6 * keep_alive)
    await client.refused(0x8D)
    assert (await watcher.message()).payload == b"gone", "as if the network had failed"


async def test_a_client_without_a_keep_alive_may_be_silent(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.quiet()
    house.forward(1_000_000)
    await client.quiet()


async def test_ping_is_answered(house: House, version: int) -> None:
    client = await house.connect("a", version)
    client.send(PING, PING)
    assert [(await client.next()).kind for _ in range(2)] == [PINGRESP, PINGRESP]


async def test_nothing_is_read_behind_a_disconnect(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe("#")
    client = await house.connect("a", version)
    client.send(publish("t", b"before", version=version), disconnect(), publish("t", b"x", version=version))
    assert await client.closed() == []
    assert (await watcher.message()).payload == b"before"
    await watcher.quiet()


async def test_a_protocol_violation_ends_its_own_connection_alone(house: House, version: int) -> None:
    other = await house.connect("other", version)
    await other.subscribe("t")
    client = await house.connect("a", version)
    client.send(b"\x36\x03\0\1t")
    await client.refused(0x81)
    other.publish("t", b"still here")
    assert (await other.message()).payload == b"still here"


async def test_a_server_that_stops_says_so_or_hangs_up(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.quiet()
    house.clients.remove(client)
    await house.close()
    packets = await client.closed()
    assert [packet.kind for packet in packets] == ([DISCONNECT] if version == 5 else [])
    await house.open()
