"""What a gateway does with an identity beyond yes and no: waiting for it, and what a reload changes."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.edge.gateways.mqtt_support import Client, Raw, Site, until

from rimward.protocols.mqtt import (
    Connect,
    Disconnect,
    Properties,
    Puback,
    Publish,
    Reason,
    Subscription,
    Will,
)

from .access_support import House, device, living

RULES = """
[[rule]]
roles = ["all"]
publish = ["#"]
subscribe = ["#"]
[[rule]]
devices = ["truck-1"]
publish = ["up/{client}", "reply/#"]
subscribe = ["to/{client}/#"]
"""
TEXT = device("truck-1") + device("truck-2", clients='["boat-*"]') + device("root", roles='["all"]') + RULES


class Gate:
    """A gateway before an access file."""

    def __init__(self, house: House, site: Site) -> None:
        self.house = house
        self.site = site

    async def client(self, name: str, version: int = 5, *, will: Will | None = None) -> Client:
        return await self.site.client(name, version, username=name, password=b"secret", will=will)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    with living(TEXT) as house:
        async with Site(None, None, house.access) as site:
            yield Gate(house, site)


async def sent_at_once(gate: Gate, *packets: bytes) -> Raw:
    raw = await gate.site.raw()
    raw.send(b"".join(packets))
    return raw


def connect(client_id: str, password: bytes = b"secret") -> bytes:
    from rimward.protocols.mqtt import encode

    return encode(Connect(client_id, 4, True, 0, client_id, password, None, None), 4)


async def test_what_comes_behind_a_connect_waits_until_the_password_is_checked(gate: Gate) -> None:
    publish = b"\x32\x0f\x00\x0aup/truck-1\x00\x01x"
    raw = await sent_at_once(gate, connect("truck-1"), publish, b"\xc0\x00")
    assert await raw.read(4) == b"\x20\x02\x00\x00"
    assert await raw.read(4) == b"\x40\x02\x00\x01"
    assert await raw.read(2) == b"\xd0\x00"
    assert gate.site.door.topics == ["up/truck-1"]
    raw.hang_up()


async def test_what_comes_behind_a_connect_that_is_refused_is_not_taken(gate: Gate) -> None:
    publish = b"\x32\x0f\x00\x0aup/truck-1\x00\x01x"
    raw = await sent_at_once(gate, connect("truck-1", b"wrong"), publish)
    assert await raw.rest() == b"\x20\x02\x00\x04"
    assert gate.site.door.topics == []


async def test_a_client_that_goes_before_it_is_known_leaves_nothing(gate: Gate) -> None:
    raw = await sent_at_once(gate, connect("truck-1"))
    raw.hang_up()
    await until(lambda: gate.site.stat("connections_total") == 1 and gate.site.stat("connections") == 0)
    await until(lambda: gate.house.access.stats()["passwords_waiting"] == 0)
    assert gate.site.stat("clients") == 0


async def test_a_password_that_is_not_checked_in_the_time_of_a_connect_ends_it() -> None:
    with living(TEXT, threads=1) as house:
        async with Site(None, None, house.access) as site:
            held, go_on = asyncio.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()

            def hold() -> None:
                loop.call_soon_threadsafe(held.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

            holding = loop.create_task(house.access.passwords.run(hold))
            await held.wait()
            raw = await site.raw()
            raw.send(connect("truck-1"))
            await until(lambda: house.access.stats()["passwords_waiting"] == 1)
            site.now += 11_000_000_000
            site.gateway.look()
            assert await raw.rest() == b"\x20\x02\x00\x03"
            go_on.set()
            await holding
            await until(lambda: house.access.stats()["passwords_waiting"] == 0)


async def test_what_may_not_be_published_is_refused_and_never_reaches_a_function(gate: Gate) -> None:
    new = await gate.client("truck-1")
    new.publish("up/truck-2", b"x", 1)
    puback = await new.next()
    assert isinstance(puback, Puback)
    assert puback.reason == Reason.NOT_AUTHORIZED
    new.publish("up/truck-2", b"x", 0)
    new.publish("up/truck-1", b"x", 1)
    assert await new.next() == Puback(2)
    assert gate.site.door.topics == ["up/truck-1"]
    assert gate.site.stat("refused_denied") == 2
    assert gate.site.dead == [], "MQTT 5 is told, and QoS 0 is counted"


async def test_mqtt_3_is_acknowledged_and_its_message_buried(gate: Gate) -> None:
    client = await gate.client("truck-1", 4)
    client.publish("up/truck-2", b"x", 1)
    assert isinstance(await client.next(), Puback)
    [(reason, detail, sender, topic, payload)] = gate.site.dead
    assert (reason, sender, topic, payload) == ("denied", "truck-1", "up/truck-2", b"x")
    assert "truck-1 may not publish to up/truck-2" in detail


async def test_a_reply_goes_only_where_its_asker_may_have_it(gate: Gate) -> None:
    root, truck = await gate.client("root"), await gate.client("truck-1")
    await root.subscribe("to/#")
    for topic in ("to/truck-2/answers", "to/truck-1/answers"):
        truck.publish("reply/x", b"x", 1, properties=Properties(response_topic=topic))
        assert isinstance(await truck.next(), Puback)
    assert (await root.message()).topic == "to/truck-1/answers"
    assert gate.site.stat("replies_dropped") == 1


async def test_an_allowed_topic_is_asked_for_once_and_a_reload_asks_again(gate: Gate) -> None:
    truck = await gate.client("truck-1")
    for _ in range(2):
        truck.publish("up/truck-1", b"x", 1)
        assert isinstance(await truck.next(), Puback)
    gate.house.rewrite(TEXT.replace("up/{client}", "down/{client}"))
    truck.publish("up/truck-1", b"x", 1)
    puback = await truck.next()
    assert isinstance(puback, Puback)
    assert puback.reason == Reason.NOT_AUTHORIZED


async def test_a_reload_takes_topics_from_who_listens_and_drops_no_connection(gate: Gate) -> None:
    root, truck = await gate.client("root"), await gate.client("truck-1")
    await truck.subscribe("to/#")
    root.publish("to/truck-1/a", b"1")
    assert (await truck.message()).payload == b"1"
    gate.house.rewrite(TEXT.replace("to/{client}/#", "to/{client}/b"))
    root.publish("to/truck-1/a", b"2")
    root.publish("to/truck-1/b", b"3")
    assert (await truck.message()).payload == b"3"


@pytest.mark.parametrize(
    "change",
    [lambda: TEXT.replace(device("truck-1"), device("truck-1", "another")), lambda: device("root")],
)
async def test_whose_device_or_secret_is_gone_is_sent_away(gate: Gate, change: Callable[[], str]) -> None:
    truck = await gate.client("truck-1")
    gate.house.rewrite(change())
    goodbye = await truck.ended()
    assert isinstance(goodbye, Disconnect)
    assert goodbye.reason == Reason.ADMINISTRATIVE_ACTION
    await until(lambda: gate.site.stat("clients") == 0)
    assert gate.site.stat("identities_ended") == 1


async def test_a_session_belongs_to_its_identity(gate: Gate) -> None:
    text = TEXT + device("fleet", clients='["truck-*"]')
    gate.house.rewrite(text)
    first = await gate.client("truck-1")
    thief = await gate.site.client("truck-1", username="fleet", password=b"secret")
    assert thief.connack.reason == Reason.NOT_AUTHORIZED
    own = await gate.client("truck-1")
    assert own.connack.reason == 0
    last = await first.ended()
    assert isinstance(last, Disconnect)
    assert last.reason == Reason.SESSION_TAKEN_OVER


async def test_a_client_that_names_no_id_gets_its_devices(gate: Gate) -> None:
    client = await gate.site.client("", username="truck-1", password=b"secret")
    assert client.connack.properties is not None
    assert client.connack.properties.assigned_client_id == "truck-1"


async def test_a_client_id_of_another_device_is_refused_as_such(gate: Gate) -> None:
    client = await gate.site.client("truck-1", username="truck-2", password=b"secret")
    assert client.connack.reason == Reason.CLIENT_IDENTIFIER_NOT_VALID
    boat = await gate.site.client("boat-7", username="truck-2", password=b"secret")
    assert boat.connack.reason == 0


async def test_too_many_failures_are_told_as_such(gate: Gate) -> None:
    for _ in range(6):
        client = await gate.site.client("truck-1", username="truck-1", password=b"wrong")
        assert client.connack.reason == Reason.BAD_USER_NAME_OR_PASSWORD
    client = await gate.site.client("truck-1", username="truck-1", password=b"wrong")
    assert client.connack.reason == Reason.CONNECTION_RATE_EXCEEDED


async def test_a_shared_message_passes_over_members_that_may_not_have_it(gate: Gate) -> None:
    root, truck = await gate.client("root"), await gate.client("truck-1")
    boss = await gate.site.client("root-2", username="root", password=b"secret")
    assert boss.connack.reason == Reason.CLIENT_IDENTIFIER_NOT_VALID
    await truck.subscribe(Subscription("$share/g/to/#", 1))
    await root.subscribe(Subscription("$share/g/to/#", 1))
    for number in range(4):
        root.publish("to/truck-9/a", b"%d" % number)
    for number in range(4):
        packet = await root.next()
        assert isinstance(packet, Publish)
        assert packet.payload == b"%d" % number
