"""MQTT 5, sections 3.5 to 3.7, 4.3 and 4.4: what QoS 2 has beyond 3.1.1."""

from .house import House
from .wire import (
    MAXIMUM_PACKET_SIZE,
    MESSAGE_EXPIRY,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SESSION_EXPIRY,
    acknowledge,
)


async def test_the_smallest_packets_fit_a_small_maximum(house: House) -> None:
    client = await house.connect("a", 5, (MAXIMUM_PACKET_SIZE, 40))
    sender = await house.connect("b")
    await client.subscribe(("t", 2))
    client.send(acknowledge(PUBREL, 99))
    answer = await client.expect(PUBCOMP)
    assert answer.reason == 0x92
    assert answer.size <= 40
    await sender.tell("t", b"x", 2)
    message = await client.expect(PUBLISH)
    client.send(acknowledge(PUBREC, message.packet_id))
    assert (await client.expect(PUBREL)).size <= 40
    client.send(acknowledge(PUBCOMP, message.packet_id))
    client.send(acknowledge(PUBREC, 1234))  # of nothing
    release = await client.expect(PUBREL)
    assert release.reason == 0x92
    assert release.size <= 40


async def test_a_message_under_way_does_not_expire(house: House) -> None:
    client, sender = await house.come_back("a"), await house.connect("b")
    await client.subscribe(("t", 2))
    sender.publish("t", b"x", 2, 5, some=((MESSAGE_EXPIRY, 10),))
    await sender.expect(PUBREC)
    sender.send(acknowledge(PUBREL, 5))
    await sender.expect(PUBCOMP)
    message = await client.expect(PUBLISH)
    await client.cut()
    house.forward(100)
    again = await house.come_back("a")
    resent = await again.expect(PUBLISH)
    assert (resent.packet_id, resent.dup, resent.payload) == (message.packet_id, True, b"x")


async def test_the_sequence_goes_on_though_the_message_has_expired(house: House) -> None:
    client = await house.connect("a", 5, (SESSION_EXPIRY, 1000))
    client.publish("t", b"x", 2, 5, some=((MESSAGE_EXPIRY, 10),))
    await client.expect(PUBREC)
    house.forward(100)
    client.send(acknowledge(PUBREL, 5))
    assert (await client.expect(PUBCOMP)).reason == 0


async def test_a_refused_identifier_means_a_new_message(house: House) -> None:
    watcher, client = await house.connect("w"), await house.connect("a")
    await watcher.subscribe(("t", 2))
    client.publish("picky/x", b"", 2, 5)
    assert (await client.expect(PUBREC)).reason == 0x83
    client.publish("t", b"new", 2, 5)
    assert (await client.expect(PUBREC)).reason == 0
    client.send(acknowledge(PUBREL, 5))
    assert (await client.expect(PUBCOMP)).reason == 0
    assert (await watcher.message()).payload == b"new"


async def test_a_message_refused_by_its_receiver_is_not_sent_again(house: House) -> None:
    client, sender = await house.come_back("a"), await house.connect("b")
    await client.subscribe(("t", 2))
    await sender.tell("t", b"1", 1)
    await sender.tell("t", b"2", 2)
    one, two = await client.expect(PUBLISH), await client.expect(PUBLISH)
    client.send(acknowledge(PUBACK, one.packet_id, 0x99), acknowledge(PUBREC, two.packet_id, 0x99))
    await client.quiet()  # no PUBREL for what was refused
    await client.cut()
    again = await house.come_back("a")
    await again.quiet()
