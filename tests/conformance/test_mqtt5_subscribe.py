"""MQTT 5, sections 3.8 to 3.11 and 4.8: options of a subscription, and subscriptions that clients share."""

import pytest

from .house import Client, House
from .wire import (
    DISCONNECT,
    MAXIMUM_PACKET_SIZE,
    PING,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    RECEIVE_MAXIMUM,
    SUBACK,
    SUBSCRIPTION_ID,
    acknowledge,
    disconnect,
    subscribe,
    unsubscribe,
)

NO_LOCAL, AS_PUBLISHED, ONLY_NEW, NO_RETAINED = 0x04, 0x08, 0x10, 0x20
MALFORMED, PROTOCOL_ERROR = 0x81, 0x82


async def test_no_local_keeps_a_client_s_own_messages_from_it(house: House) -> None:
    client, other = await house.connect("a"), await house.connect("b")
    await client.subscribe(("t", NO_LOCAL))
    client.publish("t", b"mine")
    other.publish("t", b"yours")
    assert (await client.message()).payload == b"yours"
    await client.quiet()


async def test_no_local_is_about_the_client_and_not_the_connection(house: House) -> None:
    client = await house.come_back("a")
    await client.subscribe(("t", 1 | NO_LOCAL))
    await client.cut()
    again = await house.come_back("a")
    again.publish("t", b"mine", 1, 5)
    await again.expect(PUBACK)
    await again.quiet()


async def test_without_no_local_a_client_gets_its_own_messages(house: House) -> None:
    client = await house.connect("a")
    await client.subscribe("t")
    client.publish("t", b"mine")
    assert (await client.message()).payload == b"mine"


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("asked", [0, AS_PUBLISHED])
async def test_the_retain_flag_is_as_published_where_that_is_asked_for(
    house: House,
    asked: int,
    retain: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    client, sender = await house.connect("a"), await house.connect("b")
    await client.subscribe(("t", 1 | asked))
    await sender.tell("t", b"x", retain=retain)
    assert (await client.message()).retain == (retain and bool(asked))


@pytest.mark.parametrize("asked", [0, AS_PUBLISHED])
async def test_what_was_retained_is_marked_so_to_a_new_subscription(house: House, asked: int) -> None:
    sender = await house.connect("b")
    await sender.tell("t", b"x", retain=True)
    client = await house.connect("a")
    await client.subscribe(("t", asked))
    assert (await client.message()).retain


@pytest.mark.parametrize(("handling", "first", "second"), [(0, 1, 1), (ONLY_NEW, 1, 0), (NO_RETAINED, 0, 0)])
async def test_retain_handling_says_when_retained_messages_come(
    house: House, handling: int, first: int, second: int
) -> None:
    sender = await house.connect("b")
    await sender.tell("t", b"x", retain=True)
    client = await house.connect("a")
    for count in (first, second):
        await client.subscribe(("t", handling))
        assert len(await client.until_quiet()) == count


async def test_a_subscription_that_a_kept_session_has_is_not_new(house: House) -> None:
    sender = await house.connect("b")
    await sender.tell("t", b"x", retain=True)
    client = await house.come_back("a")
    await client.subscribe(("t", 1 | NO_RETAINED))
    await client.cut()
    again = await house.come_back("a")
    await again.subscribe(("t", 1 | ONLY_NEW))
    await again.quiet()


@pytest.mark.parametrize("options", [0x30, 0x40, 0x80, 0x03, 0x33])
async def test_reserved_bits_and_values_of_the_options_end_the_connection(house: House, options: int) -> None:
    client = await house.connect("a")
    client.send(subscribe(1, ("t", options)))
    await client.refused(MALFORMED, PROTOCOL_ERROR)


async def test_options_are_replaced_with_their_subscription(house: House) -> None:
    client = await house.connect("a")
    await client.subscribe(("t", 1 | NO_LOCAL))
    await client.subscribe(("t", 1))
    client.publish("t", b"mine")
    assert (await client.message()).payload == b"mine"


async def test_a_suback_leaves_out_what_would_be_too_large(house: House) -> None:
    client = await house.connect("a", 5, (MAXIMUM_PACKET_SIZE, 60))
    suback = await client.subscribe("a", ("x/" * 5000, 1), "b")
    assert suback.size <= 60
    client.send(unsubscribe(4, "a", "c"))
    unsuback = await client.next()
    assert unsuback.size <= 60
    assert unsuback.reasons == (0, 0x11)


async def test_an_unsuback_has_a_reason_for_each_filter_in_order(house: House) -> None:
    client = await house.connect("a")
    await client.subscribe("b", "d/#")
    client.send(unsubscribe(4, "a", "b", "c", "d/#"))
    assert (await client.next()).reasons == (0x11, 0, 0x11, 0)


async def test_two_subscription_identifiers_in_one_subscribe_are_an_error(house: House) -> None:
    client = await house.connect("a")
    client.send(subscribe(1, ("t", 0), some=((SUBSCRIPTION_ID, 1), (SUBSCRIPTION_ID, 2))))
    await client.refused(PROTOCOL_ERROR)


# -- shared subscriptions


async def _not_taken(house: House, wish: str) -> None:
    """Make sure that a filter is refused, alone or with its connection."""
    client = await house.connect("a")
    client.send(subscribe(1, (wish, 0)), PING)
    answer = await client.next()
    if answer.kind == SUBACK:
        assert answer.reasons[0] >= 0x80
    else:
        assert (answer.kind, answer.reason >= 0x80) == (DISCONNECT, True)


@pytest.mark.parametrize("wish", ["$share/", "$share/x", "$share/x/", "$share//t"])
async def test_a_shared_filter_has_a_name_and_a_filter(house: House, wish: str) -> None:
    await _not_taken(house, wish)


@pytest.mark.parametrize("wish", ["$share/a+b/t", "$share/#/t", "$share/+/t", "$share/a#/t"])
async def test_a_share_name_has_no_wildcard(house: House, wish: str) -> None:
    await _not_taken(house, wish)


async def test_no_local_on_a_shared_subscription_is_an_error(house: House) -> None:
    client = await house.connect("a")
    client.send(subscribe(1, ("$share/x/t", NO_LOCAL)))
    assert await client.goodbye() == PROTOCOL_ERROR


async def _took(clients: list[Client]) -> list[list[bytes]]:
    return [[packet.payload for packet in await client.until_quiet()] for client in clients]


async def test_each_message_goes_to_one_of_those_who_share(house: House) -> None:
    members = [await house.connect(name) for name in ("a", "b", "c")]
    for member in members:
        await member.subscribe("$share/x/t/+")
    alone = await house.connect("d")
    await alone.subscribe("t/+")
    other = await house.connect("e")
    await other.subscribe("$share/y/t/+")
    sender = await house.connect("s")
    for n in range(30):
        await sender.tell(f"t/{n}", b"%d" % n)
    all_of_them = {b"%d" % n for n in range(30)}
    taken = await _took(members)
    assert sorted(payload for one in taken for payload in one) == sorted(all_of_them)
    assert all(taken), "each has some"
    assert await _took([alone, other]) == [[b"%d" % n for n in range(30)]] * 2


async def test_a_share_is_left_by_its_whole_name(house: House) -> None:
    client, sender = await house.connect("a"), await house.connect("s")
    await client.subscribe("$share/x/t", "t")
    client.send(unsubscribe(2, "$share/y/t", "$share/x/t"))
    assert (await client.next()).reasons == (0x11, 0)
    await sender.tell("t", b"x")
    assert await _took([client]) == [[b"x"]]


async def test_members_of_a_share_keep_the_qos_that_each_was_granted(house: House) -> None:
    low, high = await house.connect("a"), await house.connect("b")
    await low.subscribe(("$share/x/t", 0))
    await high.subscribe(("$share/x/t", 1))
    sender = await house.connect("s")
    for n in range(10):
        await sender.tell("t", b"%d" % n)
    assert {p.qos for p in await low.until_quiet()} <= {0}
    assert {p.qos for p in await high.until_quiet()} <= {1}


async def test_a_shared_subscription_gets_no_retained_messages(house: House) -> None:
    sender = await house.connect("s")
    await sender.tell("t", b"x", retain=True)
    client = await house.connect("a")
    await client.subscribe("$share/x/t")
    await client.quiet()


@pytest.mark.parametrize(("qos", "answer"), [(1, PUBACK), (2, PUBREC)])
async def test_a_message_that_a_member_refuses_goes_to_no_other(house: House, qos: int, answer: int) -> None:
    first, second = await house.come_back("a"), await house.come_back("b")
    await first.subscribe(("$share/x/t", 2))
    sender = await house.connect("s")
    await sender.tell("t", b"x", qos)
    message = await first.expect(PUBLISH)
    await second.subscribe(("$share/x/t", 2))
    first.send(acknowledge(answer, message.packet_id, 0x80))
    await first.quiet()
    await first.cut()
    await second.quiet()
    again = await house.come_back("a")
    await again.quiet()


async def test_qos_2_under_way_to_a_member_is_completed_with_it(house: House) -> None:
    first, second = await house.come_back("a"), await house.come_back("b")
    await first.subscribe(("$share/x/t", 2))
    sender = await house.connect("s")
    await sender.tell("t", b"x", 2)
    message = await first.expect(PUBLISH)
    await second.subscribe(("$share/x/t", 2))
    await first.cut()
    await second.quiet()
    again = await house.come_back("a")
    resent = await again.expect(PUBLISH)
    assert (resent.packet_id, resent.dup) == (message.packet_id, True)
    again.send(acknowledge(PUBREC, resent.packet_id))
    await again.expect(PUBREL)
    again.send(acknowledge(PUBCOMP, resent.packet_id))
    await again.quiet()


async def test_qos_2_under_way_to_a_member_whose_session_ends_goes_to_no_other(house: House) -> None:
    first, second = await house.come_back("a"), await house.come_back("b")
    await first.subscribe(("$share/x/t", 2))
    sender = await house.connect("s")
    await sender.tell("t", b"x", 2)
    await first.expect(PUBLISH)
    await second.subscribe(("$share/x/t", 2))
    await first.cut()
    await (await house.connect("a")).quiet()  # a clean start: the session is over
    await second.quiet()


async def test_a_member_that_is_away_does_not_hold_the_others_messages(house: House) -> None:
    first, second = await house.come_back("a"), await house.come_back("b")
    for member in (first, second):
        await member.subscribe(("$share/x/t", 1))
    first.send(disconnect())
    await first.closed()
    sender = await house.connect("s")
    for n in range(10):
        await sender.tell("t", b"%d" % n)
    came = [p.payload for p in await second.until_quiet()]
    again = await house.come_back("a")
    came += [p.payload for p in await again.until_quiet()]
    assert sorted(came) == sorted(b"%d" % n for n in range(10)), "none is lost, none comes twice"


async def test_a_member_whose_window_is_full_may_be_passed_over(house: House) -> None:
    first = await house.connect("a", 5, (RECEIVE_MAXIMUM, 1))
    second = await house.connect("b", 5, (RECEIVE_MAXIMUM, 100))
    for member in (first, second):
        await member.subscribe(("$share/x/t", 1))
    sender = await house.connect("s")
    for n in range(10):
        await sender.tell("t", b"%d" % n)
    assert len([p for p in await first.until_quiet() if p.kind == PUBLISH]) <= 1
