"""Sections 4.1 to 4.6: state, the three qualities of service, sending again, and order, in both versions."""

import pytest

from .house import Client, House
from .reading import Packet
from .wire import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    acknowledge,
    disconnect,
    publish,
)


async def test_qos_0_is_sent_once_and_not_marked(house: House, version: int) -> None:
    client = await house.connect("a", version)
    await client.subscribe(("t", 2))
    client.publish("t", b"x")
    message = await client.expect(PUBLISH)
    assert (message.qos, message.dup, message.packet_id) == (0, False, 0)
    await client.quiet()


async def test_qos_1_is_sent_once_and_waits_for_its_puback(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 1))
    await sender.tell("t", b"x")
    message = await client.expect(PUBLISH)
    assert (message.qos, message.dup) == (1, False)
    assert message.packet_id
    house.forward(100)
    await client.quiet()  # it is not sent again while the connection lasts [MQTT-4.4.0-1]
    client.send(acknowledge(PUBACK, message.packet_id))
    await client.quiet()


async def test_an_identifier_may_come_again_after_its_puback(house: House, version: int) -> None:
    watcher, client = await house.connect("w", version), await house.connect("a", version)
    await watcher.subscribe(("t", 1))
    for n in range(3):
        client.send(publish("t", b"%d" % n, 1, 7, dup=n > 0, version=version))
        assert (await client.expect(PUBACK)).packet_id == 7
    assert [(await watcher.message()).payload for _ in range(3)] == [b"0", b"1", b"2"], "each a new message"


async def test_qos_2_comes_in_once_however_often_it_is_sent(house: House, version: int) -> None:
    watcher, client = await house.connect("w", version), await house.connect("a", version)
    await watcher.subscribe(("t", 2))
    for n in range(3):
        client.send(publish("t", b"x", 2, 7, dup=n > 0, version=version))
        assert (await client.expect(PUBREC)).packet_id == 7
    client.send(acknowledge(PUBREL, 7))
    assert (await client.expect(PUBCOMP)).packet_id == 7
    assert (await watcher.message()).payload == b"x"
    await watcher.quiet()


async def test_an_identifier_may_come_again_after_its_pubcomp(house: House, version: int) -> None:
    watcher, client = await house.connect("w", version), await house.connect("a", version)
    await watcher.subscribe(("t", 2))
    for n in range(3):
        client.publish("t", b"%d" % n, 2, 7)
        await client.expect(PUBREC)
        client.send(acknowledge(PUBREL, 7))
        await client.expect(PUBCOMP)
    assert [(await watcher.message()).payload for _ in range(3)] == [b"0", b"1", b"2"]


async def test_a_pubrel_is_answered_even_where_nothing_is_known_of_it(house: House, version: int) -> None:
    client = await house.connect("a", version)
    client.send(acknowledge(PUBREL, 99))
    answer = await client.expect(PUBCOMP)
    assert answer.packet_id == 99
    assert answer.reason == (0x92 if version == 5 else 0)


async def test_qos_2_goes_out_by_its_four_packets(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 2))
    await sender.tell("t", b"x", 2)
    message = await client.expect(PUBLISH)
    assert (message.qos, message.dup) == (2, False)
    client.send(acknowledge(PUBREC, message.packet_id))
    release = await client.expect(PUBREL)
    assert (release.packet_id, release.reason) == (message.packet_id, 0)
    await client.quiet()
    client.send(acknowledge(PUBCOMP, message.packet_id))
    await client.quiet()


async def test_qos_2_in_and_out_is_tracked_over_a_breakdown_of_the_sender(house: House, version: int) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe(("t", 2))
    client = await house.come_back("a", version)
    client.publish("t", b"x", 2, 7)
    await client.expect(PUBREC)
    await client.cut()
    again = await house.come_back("a", version)
    assert again.connack.session_present
    again.send(publish("t", b"x", 2, 7, dup=True, version=version))
    assert (await again.expect(PUBREC)).packet_id == 7
    again.send(acknowledge(PUBREL, 7))
    await again.expect(PUBCOMP)
    assert (await watcher.message()).payload == b"x"
    await watcher.quiet()


async def test_qos_2_of_a_sender_is_tracked_over_a_restart_of_the_node(house: House, version: int) -> None:
    client = await house.come_back("a", version)
    watcher = await house.come_back("w", version)
    await watcher.subscribe(("t", 2))
    client.publish("t", b"x", 2, 7)
    await client.expect(PUBREC)
    await client.cut()
    await watcher.cut()
    await house.close()
    await house.open()
    again = await house.come_back("a", version)
    again.send(publish("t", b"x", 2, 7, dup=True, version=version))
    await again.expect(PUBREC)
    again.send(acknowledge(PUBREL, 7))
    await again.expect(PUBCOMP)
    watcher = await house.come_back("w", version)
    assert (await watcher.message()).payload == b"x"
    await watcher.quiet()


# -- sending again [4.4]


async def _broken(house: House, version: int, count: int, qos: int) -> list[Packet]:
    """Have messages sent to client `a` that it does not acknowledge before its connection breaks."""
    client = await house.come_back("a", version)
    await client.subscribe(("t", 2))
    sender = await house.connect("s", version)
    for n in range(count):
        await sender.tell("t", b"%d" % n, qos)
    messages = [await client.expect(PUBLISH) for _ in range(count)]
    await client.cut()
    await sender.cut()
    return messages


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_not_acknowledged_is_sent_again_in_order(
    house: House,
    version: int,
    qos: int,
    restart: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    before = await _broken(house, version, 5, qos)
    if restart:
        await house.close()
        await house.open()
    client = await house.come_back("a", version)
    again = [await client.expect(PUBLISH) for _ in range(5)]
    assert [m.payload for m in again] == [m.payload for m in before]
    assert [m.packet_id for m in again] == [m.packet_id for m in before]
    assert all(m.dup and m.qos == qos for m in again)
    await client.quiet()


async def test_what_was_acknowledged_is_not_sent_again(house: House, version: int) -> None:
    client = await house.come_back("a", version)
    await client.subscribe(("t", 1))
    sender = await house.connect("s", version)
    for n in range(3):
        await sender.tell("t", b"%d" % n)
    messages = [await client.expect(PUBLISH) for _ in range(3)]
    client.send(acknowledge(PUBACK, messages[1].packet_id))
    await client.quiet()
    await client.cut()
    again = await house.come_back("a", version)
    assert [(await again.message()).payload for _ in range(2)] == [b"0", b"2"]
    await again.quiet()


@pytest.mark.parametrize("restart", [False, True])
async def test_a_message_is_not_sent_again_once_its_pubrel_is_out(
    house: House,
    version: int,
    restart: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    client = await house.come_back("a", version)
    await client.subscribe(("t", 2))
    sender = await house.connect("s", version)
    await sender.tell("t", b"x", 2)
    message = await client.expect(PUBLISH)
    client.send(acknowledge(PUBREC, message.packet_id))
    await client.expect(PUBREL)
    await client.cut()
    if restart:
        await house.close()
        await house.open()
    again = await house.come_back("a", version)
    assert (await again.expect(PUBREL)).packet_id == message.packet_id
    again.send(acknowledge(PUBCOMP, message.packet_id))
    await again.quiet()
    await again.cut()
    third = await house.come_back("a", version)
    await third.quiet()


async def test_a_clean_start_gets_nothing_again(house: House, version: int) -> None:
    await _broken(house, version, 2, 1)
    client = await house.connect("a", version)
    await client.quiet()


async def test_what_waits_comes_behind_what_is_sent_again(house: House, version: int) -> None:
    before = await _broken(house, version, 2, 1)
    sender = await house.connect("s", version)
    await sender.tell("t", b"later")
    client = await house.come_back("a", version)
    payloads = [(await client.message()).payload for _ in range(3)]
    assert payloads == [m.payload for m in before] + [b"later"]


# -- receipt and order [4.5, 4.6]


async def test_a_message_is_in_the_session_of_each_client_that_has_asked_for_it(
    house: House, version: int
) -> None:
    for name in ("a", "b", "c"):
        client = await house.come_back(name, version)
        await client.subscribe(("t", 1) if name != "c" else ("u", 1))
        client.send(disconnect())
        await client.closed()
    sender = await house.connect("s", version)
    await sender.tell("t", b"x")
    for name in ("a", "b"):
        client = await house.come_back(name, version)
        assert (await client.message()).payload == b"x"
        await client.quiet()
    client = await house.come_back("c", version)
    await client.quiet()


async def _all(client: Client, count: int) -> list[bytes]:
    return [(await client.message()).payload for _ in range(count)]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_messages_of_a_client_come_in_the_order_in_which_it_has_sent_them(
    house: House, version: int, qos: int
) -> None:
    watcher = await house.connect("w", version)
    await watcher.subscribe(("t/+", 2))
    for name in ("a", "b"):
        client = await house.connect(name, version)
        client.send(*(publish(f"t/{name}", b"%d" % n, qos, n + 1, version=version) for n in range(50)))
        if qos == 2:  # a server may wait for the PUBRELs [4.3.3]
            for n in range(50):
                assert (await client.expect(PUBREC)).packet_id == n + 1
            client.send(*(acknowledge(PUBREL, n + 1) for n in range(50)))
    came: dict[str, list[int]] = {"t/a": [], "t/b": []}
    for _ in range(100):
        message = await watcher.expect(PUBLISH)
        came[message.topic].append(int(message.payload))
    assert came == {"t/a": list(range(50)), "t/b": list(range(50))}


@pytest.mark.parametrize(("qos", "kind"), [(1, PUBACK), (2, PUBREC)])
async def test_messages_are_answered_in_the_order_in_which_they_came(
    house: House, version: int, qos: int, kind: int
) -> None:
    client = await house.connect("a", version)
    ids = [5, 3, 9, 1, 65_535, 2]
    topics = ["t", "picky/x", "t", "ask/x", "t", "picky/x"]  # some wait for functions and the disk
    client.send(*(publish(t, b"", qos, n, version=version) for t, n in zip(topics, ids, strict=True)))
    assert [(await client.expect(kind)).packet_id for _ in ids] == ids


async def test_pubrels_leave_in_the_order_of_the_pubrecs(house: House, version: int) -> None:
    client, sender = await house.connect("a", version), await house.connect("b", version)
    await client.subscribe(("t", 2))
    for n in range(4):
        await sender.tell("t", b"%d" % n, 2)
    ids = [(await client.expect(PUBLISH)).packet_id for _ in range(4)]
    ids = [ids[2], ids[0], ids[3], ids[1]]
    client.send(*(acknowledge(PUBREC, packet_id) for packet_id in ids))
    assert [(await client.expect(PUBREL)).packet_id for _ in ids] == ids


async def test_a_message_that_waits_keeps_its_place_behind_the_ones_before(
    house: House, version: int
) -> None:
    client = await house.come_back("a", version)
    await client.subscribe(("t", 1))
    client.send(disconnect())
    await client.closed()
    sender = await house.connect("s", version)
    sender.send(*(publish("t", b"%d" % n, 1, n + 1, version=version) for n in range(40)))
    for _ in range(40):
        await sender.expect(PUBACK)
    again = await house.come_back("a", version)
    sender.send(*(publish("t", b"%d" % n, 1, n + 1, version=version) for n in range(40, 80)))
    assert await _all(again, 80) == [b"%d" % n for n in range(80)]
