"""MQTT 5, sections 3.1, 3.2 and 3.14, where it has more than 3.1.1."""

import pytest

from .house import House
from .wire import (
    ALIAS_MAXIMUM,
    ASSIGNED_ID,
    AUTH_DATA,
    AUTH_METHOD,
    CONNACK,
    DISCONNECT,
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    PROBLEM_INFORMATION,
    PUBACK,
    PUBREC,
    RECEIVE_MAXIMUM,
    RESPONSE_INFORMATION,
    RESPONSE_WANTED,
    RETAIN_AVAILABLE,
    SERVER_KEEP_ALIVE,
    SESSION_EXPIRY,
    SHARED,
    SUBSCRIPTION_IDS,
    TOPIC_ALIAS,
    USER,
    WILDCARDS,
    WILL_DELAY,
    Hello,
    Property,
    Will,
    disconnect,
    packet,
    publish,
    string,
)

HOUR = 3600


@pytest.mark.parametrize("level", [6, 7, 0x7F, 0xFF])
async def test_an_unknown_protocol_version_is_answered_with_84(house: House, level: int) -> None:
    client = await house.raw()
    client.send(Hello("a", level=level).encode())
    (connack,) = await client.closed()
    assert (connack.kind, connack.reason) == (CONNACK, 0x84)


async def test_a_password_without_a_user_name_is_allowed(house: House) -> None:
    assert (await house.connect("a", password="token")).connack.reason == 0


async def test_a_client_without_an_id_is_told_the_one_that_it_gets(house: House) -> None:
    ids = [(await house.connect("")).connack.get(ASSIGNED_ID) for _ in range(20)]
    assert all(isinstance(name, str) and name for name in ids)
    assert len(set(ids)) == 20
    named = str(ids[0])
    again = await house.connect(named)
    assert again.connack.get(ASSIGNED_ID) is None
    assert (await house.clients[0].goodbye()) == 0x8E, "it is a client id as any other"


async def test_an_assigned_id_names_a_session_too(house: House) -> None:
    first = await house.connect("", 5, (SESSION_EXPIRY, HOUR))
    name = str(first.connack.get(ASSIGNED_ID))
    await first.subscribe("t")
    await first.cut()
    assert (await house.come_back(name)).connack.session_present


async def test_a_client_id_that_is_not_taken_is_answered_with_85(house: House) -> None:
    client = await house.raw()
    client.send(Hello("x" * 60_000).encode())
    assert [packet.reason for packet in await client.closed()] == [0x85]


async def test_a_malformed_connect_is_told_so_in_a_connack_or_not_at_all(house: House) -> None:
    for data in (Hello("a", flags=1), Hello(b"\xff"), Hello("a", properties=((TOPIC_ALIAS, 1),))):
        client = await house.raw()
        client.send(data.encode())
        kinds = [(packet.kind, packet.reason) for packet in await client.closed()]
        assert kinds == [(CONNACK, 0x81)], "no DISCONNECT without a CONNACK before it [MQTT-3.14.0-1]"


@pytest.mark.parametrize(
    "some",
    [
        ((SESSION_EXPIRY, 1), (SESSION_EXPIRY, 1)),
        ((RECEIVE_MAXIMUM, 0),),
        ((RECEIVE_MAXIMUM, 1), (RECEIVE_MAXIMUM, 1)),
        ((MAXIMUM_PACKET_SIZE, 0),),
        ((ALIAS_MAXIMUM, 1), (ALIAS_MAXIMUM, 1)),
        ((RESPONSE_WANTED, 2),),
        ((PROBLEM_INFORMATION, 2),),
        ((AUTH_DATA, b"x"),),
    ],
)
async def test_a_protocol_error_in_a_connect_s_properties_refuses_it(
    house: House, some: tuple[Property, ...]
) -> None:
    client = await house.raw()
    client.send(Hello("a", properties=some).encode())
    assert [(packet.kind, packet.reason) for packet in await client.closed()] == [(CONNACK, 0x82)]


async def test_a_session_without_expiry_ends_with_its_connection(house: House) -> None:
    first = await house.connect("a", clean=False)
    await first.subscribe(("t", 1))
    await first.cut()
    sender = await house.connect("b")
    await sender.tell("t")
    again = await house.come_back("a")
    assert not again.connack.session_present
    await again.quiet()


async def test_a_session_is_kept_until_its_expiry(house: House) -> None:
    first = await house.connect("a", 5, (SESSION_EXPIRY, 100))
    await first.subscribe(("t", 1))
    await first.cut()
    house.forward(99)
    again = await house.connect("a", 5, (SESSION_EXPIRY, 100), clean=False)
    assert again.connack.session_present
    await again.cut()
    house.forward(101)
    assert not (await house.connect("a", 5, clean=False)).connack.session_present


async def test_a_session_with_the_longest_expiry_does_not_expire(house: House) -> None:
    first = await house.connect("a", 5, (SESSION_EXPIRY, 0xFFFFFFFF))
    await first.subscribe(("t", 1))
    await first.cut()
    house.forward(10 * 365 * 86_400)
    assert (await house.connect("a", 5, (SESSION_EXPIRY, 1), clean=False)).connack.session_present


async def test_a_session_lives_while_its_connection_does(house: House) -> None:
    client = await house.connect("a", 5, (SESSION_EXPIRY, 1))
    await client.subscribe(("t", 1))
    house.forward(HOUR)
    client.publish("t", b"x")
    assert (await client.message()).payload == b"x"


async def test_a_goodbye_may_change_the_expiry(house: House) -> None:
    first = await house.connect("a", 5, (SESSION_EXPIRY, 10))
    await first.subscribe(("t", 1))
    first.send(disconnect(0, (SESSION_EXPIRY, HOUR)))
    await first.closed()
    house.forward(100)
    again = await house.connect("a", 5, (SESSION_EXPIRY, HOUR), clean=False)
    assert again.connack.session_present
    again.send(disconnect(0, (SESSION_EXPIRY, 0)))
    await again.closed()
    assert not (await house.come_back("a")).connack.session_present


async def test_a_goodbye_can_not_ask_for_an_expiry_that_connect_did_not(house: House) -> None:
    client = await house.connect("a")
    client.send(disconnect(0, (SESSION_EXPIRY, 5)))
    assert await client.goodbye() == 0x82


async def test_a_will_waits_for_its_delay(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("will")
    will = Will("will", b"gone", properties=((WILL_DELAY, 100),))
    client = await house.connect("a", 5, (SESSION_EXPIRY, HOUR), will=will)
    await client.cut()
    house.forward(90)
    await watcher.quiet()
    house.forward(20)
    assert (await watcher.message()).payload == b"gone"
    house.forward(HOUR)
    await watcher.quiet()


async def test_a_will_does_not_outwait_its_session(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("will")
    will = Will("will", b"gone", properties=((WILL_DELAY, HOUR),))
    client = await house.connect("a", 5, (SESSION_EXPIRY, 10), will=will)
    await client.cut()
    house.forward(5)
    await watcher.quiet()
    house.forward(10)
    assert (await watcher.message()).payload == b"gone"


async def test_a_will_whose_session_ends_at_once_does_not_wait(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("will")
    client = await house.connect("a", will=Will("will", b"gone", properties=((WILL_DELAY, HOUR),)))
    await client.cut()
    assert (await watcher.message()).payload == b"gone"


async def test_a_client_that_is_back_before_its_will_s_delay_has_not_gone(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("will")
    will = Will("will", b"gone", properties=((WILL_DELAY, 100),))
    client = await house.connect("a", 5, (SESSION_EXPIRY, HOUR), will=will)
    await client.cut()
    house.forward(90)
    await house.come_back("a")
    house.forward(90)
    await watcher.quiet()


async def test_a_clean_start_ends_the_session_and_its_will_is_due(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("will")
    will = Will("will", b"gone", properties=((WILL_DELAY, 100),))
    client = await house.connect("a", 5, (SESSION_EXPIRY, HOUR), will=will)
    await client.cut()
    house.forward(10)
    await house.connect("a")
    assert (await watcher.message()).payload == b"gone", "the session has ended [3.1.2.5]"


async def test_a_will_has_its_properties_in_their_order(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("will")
    pairs = tuple((USER, (f"k{n % 3}", f"v{n}")) for n in range(9))
    client = await house.connect("a", will=Will("will", b"gone", 1, False, pairs))
    await client.cut()
    assert (await watcher.message()).all(USER) == [pair for _, pair in pairs]


async def test_a_goodbye_with_a_reason_publishes_the_will(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("will")
    for reason in (0x04, 0x80, 0x81, 0x83, 0x93):
        client = await house.connect("a", will=Will("will", b"%d" % reason))
        client.send(disconnect(reason))
        await client.closed()
        assert (await watcher.message()).payload == b"%d" % reason


@pytest.mark.parametrize("reason", [0x01, 0x03, 0x7F, 0x8E, 0xFF])
async def test_a_goodbye_with_a_reason_that_clients_do_not_have_is_an_error(
    house: House, reason: int
) -> None:
    client = await house.connect("a")
    client.send(disconnect(reason))
    assert await client.goodbye() in {0x81, 0x82} | ({None} if reason == 0x8E else set())


async def test_a_server_is_bound_by_the_client_s_packet_size(house: House) -> None:
    client = await house.connect("a", 5, (MAXIMUM_PACKET_SIZE, 100))
    await client.subscribe(("t/#", 1))
    sender = await house.connect("b")
    for qos in (0, 1):
        for size in (50, 200, 90 - 5, 20_000):
            await sender.tell("t/1", b"x" * size, qos)
    packets = await client.until_quiet()
    assert all(packet.size <= 100 for packet in packets)
    assert [len(packet.payload) for packet in packets] == [50, 85, 50, 85]


async def test_a_message_that_is_too_large_counts_as_sent(house: House) -> None:
    client = await house.connect("a", 5, (MAXIMUM_PACKET_SIZE, 100), (RECEIVE_MAXIMUM, 1))
    await client.subscribe(("t", 1))
    sender = await house.connect("b")
    await sender.tell("t", b"x" * 200)
    await sender.tell("t", b"fits")
    assert (await client.message()).payload == b"fits"
    await client.quiet()


async def test_a_retained_message_that_is_too_large_is_left_out(house: House) -> None:
    sender = await house.connect("b")
    await sender.tell("t/1", b"x" * 200, retain=True)
    await sender.tell("t/2", b"fits", retain=True)
    client = await house.connect("a", 5, (MAXIMUM_PACKET_SIZE, 100))
    await client.subscribe(("t/+", 1))
    assert (await client.message()).topic == "t/2"
    await client.quiet()


async def test_a_refusal_leaves_its_reason_string_out_where_it_would_be_too_large(house: House) -> None:
    client = await house.raw()
    client.send(Hello("x" * 60_000, properties=((MAXIMUM_PACKET_SIZE, 8),)).encode())
    for refusal in await client.closed():
        assert refusal.size <= 8
        assert refusal.properties == []


async def test_a_goodbye_leaves_its_reason_string_out_where_it_would_be_too_large(house: House) -> None:
    client = await house.raw()
    client.send(Hello("a", properties=((MAXIMUM_PACKET_SIZE, 40),)).encode())
    connack = await client.next()
    if connack.reason == 0:
        client.send(packet(0x30, string("t") + b"\x7f"))
        (goodbye,) = await client.closed()
        assert goodbye.kind == DISCONNECT
        assert goodbye.size <= 40


@pytest.mark.parametrize("qos", [1, 2])
async def test_an_acknowledgement_leaves_its_reason_string_out_where_it_would_be_too_large(
    house: House, qos: int
) -> None:
    for size in (60, 2000):
        client = await house.connect("a", 5, (MAXIMUM_PACKET_SIZE, size))
        client.publish("picky/" + "x" * 100, b"", qos, 1)
        answer = await client.expect(PUBACK if qos == 1 else PUBREC)
        assert answer.reason == 0x83
        assert answer.size <= size
        assert bool(answer.properties) == (size == 2000)


async def test_a_client_that_wants_no_problem_information_gets_none(house: House) -> None:
    client = await house.connect("a", 5, (PROBLEM_INFORMATION, 0))
    client.publish("picky/x", b"", 1, 1)
    assert (await client.expect(PUBACK)).properties == []
    assert (await client.subscribe(("t", 1), ("a/" * 5000, 1))).properties == []


async def test_a_client_that_wants_no_response_information_gets_none(house: House) -> None:
    for some in ((), ((RESPONSE_WANTED, 0),)):
        assert (await house.connect("a", 5, *some)).connack.get(RESPONSE_INFORMATION) is None


async def test_connack_says_what_is_not_offered_and_only_that(house: House) -> None:
    connack = (await house.connect("a")).connack
    assert connack.get(RETAIN_AVAILABLE) in {None, 1}
    assert connack.get(WILDCARDS) in {None, 1}
    assert connack.get(SUBSCRIPTION_IDS) in {None, 1}
    assert connack.get(SHARED) in {None, 1}
    assert connack.get(MAXIMUM_QOS) is None, "QoS 2 is offered by saying nothing [3.2.2.3.4]"
    assert connack.get(RECEIVE_MAXIMUM) != 0
    assert connack.get(MAXIMUM_PACKET_SIZE) != 0


async def test_without_a_server_keep_alive_the_client_s_own_counts(house: House) -> None:
    client = await house.connect("a", keep_alive=10)
    assert client.connack.get(SERVER_KEEP_ALIVE) is None
    house.forward(14)
    await client.quiet()
    house.forward(16)
    assert await client.goodbye() == 0x8D


async def test_a_packet_over_the_server_s_limit_is_refused(house: House) -> None:
    client = await house.connect("a")
    limit = client.connack.get(MAXIMUM_PACKET_SIZE)
    assert isinstance(limit, int)
    client.send(publish("t", b"x" * limit))
    assert await client.goodbye() == 0x95


async def test_a_packet_of_the_server_s_limit_is_taken(house: House) -> None:
    client = await house.connect("a")
    limit = client.connack.get(MAXIMUM_PACKET_SIZE)
    assert isinstance(limit, int)
    client.send(publish("t", b"x" * (limit - 4 - 3 - 1)))
    await client.quiet()


async def test_an_unknown_authentication_method_is_answered_with_8c(house: House) -> None:
    watcher = await house.connect("w")
    await watcher.subscribe("#")
    client = await house.raw()
    client.send(Hello("a", properties=((AUTH_METHOD, "x-unheard-of"),)).encode(), publish("t"))
    assert [(packet.kind, packet.reason) for packet in await client.closed()] == [(CONNACK, 0x8C)]
    await watcher.quiet()
