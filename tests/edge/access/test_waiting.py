"""What waits for a client is held to what its identity may receive when it is sent, not when it came."""

from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from tests.conformance.house import Client
from tests.conformance.wire import (
    CONNACK,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREL,
    RECEIVE_MAXIMUM,
    SESSION_EXPIRY,
    Hello,
    acknowledge,
)
from tests.edge.gateways.mqtt_support import Disk, Site, serving, until

from rimward.edge.gateways.mqtt.records import MESSAGES

from .access_support import House, device, living

RULES = """
[[rule]]
devices = ["root"]
publish = ["#"]
[[rule]]
devices = ["truck-1", "truck-2"]
subscribe = ["to/#"]
"""
TEXT = device("truck-1") + device("truck-2") + device("root") + RULES
LESS = TEXT.replace('subscribe = ["to/#"]', 'subscribe = ["to/{client}/#"]')
JWT = """
[[jwt]]
issuer = "i"
audience = "a"
rules_claim = "rules"
[[jwt.key]]
file = "key"
algorithm = "HS256"
"""
MINE, OTHER = "to/truck-1/a", "to/truck-2/a"


class Place:
    """A gateway before an access file, with somebody who publishes."""

    def __init__(self, house: House, site: Site) -> None:
        self.house, self.site = house, site

    async def come(self, name: str, *, expiry: int = 3600, window: int = 0, shown: str = "secret") -> Client:
        """Connect a device, which shows its password."""
        some = ((SESSION_EXPIRY, expiry),) if expiry else ()
        some += ((RECEIVE_MAXIMUM, window),) if window else ()
        raw = await self.site.raw()
        client = Client(raw.reader, raw.writer)
        client.standing = lambda: self.site.stat("connections")
        self.site.leftovers.append(client.hang_up)
        client.send(Hello(name, 5, False, 0, None, name, shown, some).encode())
        client.connack = await client.expect(CONNACK)
        assert client.connack.reason == 0
        return client

    async def tell(self, *messages: tuple[str, bytes], qos: int = 1) -> None:
        """Publish as the one that may."""
        root = await self.come("root", expiry=0)
        for topic, payload in messages:
            await root.tell(topic, payload, qos)
        await root.cut()

    @property
    def kept(self) -> int:
        self.site.disk.keep(())
        return len(self.site.disk.spaces.get(MESSAGES, {}))


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with living(TEXT) as house:
        async with serving(access=house.access) as site:
            yield Place(house, site)


async def payloads(client: Client) -> list[bytes]:
    """Return what comes by itself."""
    return [packet.payload for packet in await client.until_quiet() if packet.kind == PUBLISH]


async def test_what_waits_for_who_is_away_is_dropped_when_the_file_changes(place: Place) -> None:
    truck = await place.come("truck-1")
    await truck.subscribe(("to/#", 1))
    await truck.cut()
    await place.tell((OTHER, b"1"), (MINE, b"2"), (OTHER, b"3"))
    assert place.kept == 3
    place.house.rewrite(LESS)
    await until(lambda: place.site.stat("dropped_denied") == 2)
    assert place.kept == 1
    assert await payloads(await place.come("truck-1")) == [b"2"]


async def test_a_file_that_allows_the_same_drops_nothing(place: Place) -> None:
    truck = await place.come("truck-1")
    await truck.subscribe(("to/#", 1))
    await truck.cut()
    await place.tell((OTHER, b"1"), (MINE, b"2"))
    place.house.rewrite(TEXT + "# the same\n")
    assert await payloads(await place.come("truck-1")) == [b"1", b"2"]
    assert place.site.stat("dropped_denied") == 0


async def test_what_a_node_finds_on_its_disk_is_held_to_the_file_as_it_is_now() -> None:
    disk = Disk()
    with living(TEXT) as house:
        async with serving(disk=disk, access=house.access) as site:
            place = Place(house, site)
            truck = await place.come("truck-1")
            await truck.subscribe(("to/#", 2))
            await truck.cut()
            await place.tell((OTHER, b"1"), (MINE, b"2"), (OTHER, b"3"), qos=2)
    with living(LESS) as house:
        async with serving(disk=disk, access=house.access) as site:
            place = Place(house, site)
            assert site.stat("dropped_denied") == 2
            assert place.kept == 1
            assert (await (await place.come("truck-1")).message()).payload == b"2"


async def test_what_was_in_flight_is_not_sent_again(place: Place) -> None:
    truck = await place.come("truck-1")
    await truck.subscribe(("to/#", 1))
    await place.tell((OTHER, b"1"), (MINE, b"2"))
    assert [(await truck.expect(PUBLISH)).payload for _ in range(2)] == [b"1", b"2"]
    await truck.cut()
    place.house.rewrite(LESS)
    truck = await place.come("truck-1")
    again = await truck.message()
    assert (again.payload, again.dup) == (b"2", True)
    assert await payloads(truck) == []
    assert place.kept == 0
    assert place.site.stat("queued_bytes") == 0


async def test_a_flow_at_qos_2_goes_on_to_its_end_without_its_message(place: Place) -> None:
    truck = await place.come("truck-1")
    await truck.subscribe(("to/#", 2))
    await place.tell((OTHER, b"secret of another"), qos=2)
    packet_id = (await truck.expect(PUBLISH)).packet_id
    await truck.cut()
    place.house.rewrite(LESS)
    await until(lambda: place.site.stat("dropped_denied") == 1)
    assert place.kept == 1, "its packet id is kept: the client may have it"
    [stored] = place.site.disk.spaces[MESSAGES].values()
    assert b"secret" not in stored
    truck = await place.come("truck-1")
    assert (await truck.expect(PUBREL)).packet_id == packet_id
    truck.send(acknowledge(PUBCOMP, packet_id))
    await place.tell((MINE, b"2"), qos=2)
    assert (await truck.message()).payload == b"2"
    await truck.quiet()
    assert (place.kept, place.site.stat("queued_bytes")) == (0, 0)


@pytest.mark.parametrize("expiry", [0, 3600])
async def test_what_waits_for_a_full_window_is_looked_at_too(place: Place, expiry: int) -> None:
    truck = await place.come("truck-1", expiry=expiry, window=1)
    await truck.subscribe(("to/#", 1))
    await place.tell((OTHER, b"1"), (OTHER, b"2"), (MINE, b"3"))
    first = await truck.expect(PUBLISH)
    place.house.rewrite(LESS)
    await until(lambda: place.site.stat("dropped_denied") == 1)
    truck.send(acknowledge(PUBACK, first.packet_id))
    assert (await truck.message()).payload == b"3"
    assert await payloads(truck) == []
    assert place.kept == 0


async def test_retained_messages_that_were_not_sent_yet_are_looked_at_too(place: Place) -> None:
    root = await place.come("root", expiry=0)
    for topic in (MINE, "to/truck-1/b", "to/truck-2/b"):
        await root.tell(topic, topic.encode(), retain=True)
    truck = await place.come("truck-1", window=1)
    await truck.subscribe(("to/#", 1))
    first = await truck.expect(PUBLISH)
    place.house.rewrite(LESS.replace("to/{client}/#", "to/{client}/a"))
    truck.send(acknowledge(PUBACK, first.packet_id))
    assert set(await payloads(truck)) | {first.payload} <= {first.payload, MINE.encode()}


async def test_what_one_member_may_not_have_any_more_goes_to_another(place: Place) -> None:
    for name in ("truck-1", "truck-2"):
        await (await place.come(name)).subscribe(("$share/g/to/#", 1))
    trucks = {name: await place.come(name) for name in ("truck-1", "truck-2")}
    for truck in trucks.values():
        await truck.cut()
    await place.tell(*[(OTHER, b"%d" % number) for number in range(4)])
    place.house.rewrite(LESS)
    assert await payloads(await place.come("truck-1")) == []
    assert sorted(await payloads(await place.come("truck-2"))) == [b"0", b"1", b"2", b"3"]
    assert place.site.stat("shared_handed_on") == place.site.stat("dropped_denied") == 2


async def test_a_token_that_allows_less_than_the_one_before_gets_less(tmp_path: Path) -> None:
    secret = b"a secret of the tests, long enough"
    (tmp_path / "key").write_bytes(secret)
    file = TEXT + JWT

    def token(*subscribe: str) -> str:
        claims = {"iss": "i", "aud": "a", "sub": "gate", "exp": 4_000_000_000}
        return jwt.encode({**claims, "rules": [{"subscribe": list(subscribe)}]}, secret, "HS256")

    with living(file, tmp_path) as house:
        async with serving(access=house.access) as site:
            place = Place(house, site)
            gate = await place.come("gate", shown=token("to/#"))
            await gate.subscribe(("to/#", 1))
            await gate.cut()
            await place.tell((OTHER, b"1"), (MINE, b"2"))
            gate = await place.come("gate", shown=token("to/truck-1/#"))
            assert gate.connack.session_present
            assert await payloads(gate) == [b"2"]
            assert site.stat("dropped_denied") == 1
