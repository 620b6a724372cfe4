"""Sessions that outlive their connections: what waits for the disk, what the disk has, what comes back."""

import asyncio

import pytest
from tests.conformance.house import Client
from tests.conformance.wire import (
    CONNACK,
    MESSAGE_EXPIRY,
    PING,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SESSION_EXPIRY,
    SUBACK,
    WILL_DELAY,
    Hello,
    Will,
    acknowledge,
    publish,
    subscribe,
    unsubscribe,
)
from tests.edge.access.access_support import device, living

from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.records import MESSAGES, SESSIONS, TAKEN

from .mqtt_support import Disk, Site, serving, until

SECOND = 10**9


def hello(
    name: str,
    version: int = 5,
    *,
    clean: bool = False,
    expiry: int = 3600,
    will: Will | None = None,
    user: str = "",
) -> Hello:
    lasting = ((SESSION_EXPIRY, expiry),) if version == 5 and expiry else ()
    return Hello(name, version, clean, 0, will, user or None, "secret" if user else None, lasting)


async def opened(site: Site, greeting: Hello) -> Client:
    """Open a connection and send the CONNECT."""
    raw = await site.raw()
    client = Client(raw.reader, raw.writer, greeting.version)
    client.standing = lambda: site.stat("connections")
    site.leftovers.append(client.hang_up)
    client.send(greeting.encode())
    return client


async def come(site: Site, greeting: Hello) -> Client:
    client = await opened(site, greeting)
    client.connack = await client.expect(CONNACK)
    return client


def pass_by(site: Site, seconds: float) -> None:
    site.now += round(seconds * SECOND)
    site.gateway.look()


def on_disk(disk: Disk, space: str) -> int:
    disk.keep(())
    return len(disk.spaces.get(space, {}))


# -- what waits for the disk


async def test_a_connack_waits_for_the_disk_and_what_comes_behind_the_connect_for_it() -> None:
    async with serving() as site:
        site.disk.slow = True
        client = await opened(site, hello("a"))
        client.send(subscribe(1, ("t", 1)), PING)
        await until(lambda: bool(site.disk.waiting))
        site.disk.sync()
        assert (await client.next()).kind == CONNACK
        await until(lambda: bool(site.disk.waiting))
        assert (await client.next()).kind == PINGRESP, "a SUBACK waits for its own commit"
        site.disk.sync()
        assert (await client.next()).kind == SUBACK


async def test_a_disk_that_refuses_a_session_refuses_its_client() -> None:
    async with serving() as site:
        site.disk.full = True
        for version, reason in ((5, 0x88), (4, 3)):
            client = await opened(site, hello("a", version))
            packets = await client.closed()
            assert [(packet.kind, packet.reason) for packet in packets] == [(CONNACK, reason)]
        await until(lambda: site.stat("clients") == 0)
        assert site.stat("sessions") == 0, "one that began with a CONNECT that failed is none"
        short = await come(site, hello("b", expiry=0))
        assert not short.connack.reason


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("qos", [1, 2])
async def test_a_message_is_on_disk_for_its_subscriber_before_it_is_answered_and_sent(
    qos: int,
    online: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    async with serving() as site:
        watcher, sender = await come(site, hello("w")), await come(site, hello("s", expiry=0))
        await watcher.subscribe(("t", 2))
        if not online:
            await watcher.cut()
        site.disk.slow = True
        sender.publish("t", b"x", qos, 5)
        await until(lambda: bool(site.disk.waiting))
        await sender.quiet()
        if online:
            await watcher.quiet()
        site.disk.slow = False
        site.disk.sync()
        assert (await sender.next()).kind == (PUBACK if qos == 1 else PUBREC)
        if not online:
            watcher = await come(site, hello("w"))
        message = await watcher.expect(PUBLISH)
        assert (message.qos, message.dup) == (qos, False)
        assert on_disk(site.disk, MESSAGES) == 1


async def test_what_the_disk_refuses_is_refused_and_goes_to_nobody() -> None:
    async with serving() as site:
        watcher, sender = await come(site, hello("w")), await come(site, hello("s"))
        await watcher.subscribe(("t", 2))
        site.disk.full = True
        sender.publish("t", b"x", 1, 5, retain=True)
        assert (await sender.expect(PUBACK)).reason == 0x97
        sender.publish("t", b"x", 2, 6)
        assert (await sender.expect(PUBREC)).reason == 0x97
        await watcher.quiet()
        site.disk.full = False
        assert site.stat("queued_bytes") == 0
        assert site.stat("retained") == 0
        await sender.tell("t", b"y", 2)
        assert (await watcher.message()).payload == b"y"


async def test_a_retained_message_and_the_queues_are_one_commit() -> None:
    async with serving() as site:
        watcher, sender = await come(site, hello("w")), await come(site, hello("s"))
        await watcher.subscribe(("t", 2))
        before = site.disk.commits
        await sender.tell("t", b"x", 1, retain=True)
        assert site.disk.commits - before == 1
        sender.publish("t", b"y", 2, 9, retain=True)
        await sender.expect(PUBREC)
        assert site.disk.commits - before == 2
        assert list(site.disk.spaces[TAKEN]) == ["9 s"]


@pytest.mark.parametrize("version", [4, 5])
async def test_a_session_that_ends_with_its_connection_touches_no_disk(version: int) -> None:
    async with serving() as site:
        client = await come(site, hello("a", version, clean=True, expiry=0))
        sender = await come(site, hello("s", version, clean=True, expiry=0))
        await client.subscribe(("t", 2))
        for qos in (0, 1, 2):
            await sender.tell("t", b"x", qos)
            assert (await client.message()).qos == qos
        assert site.disk.commits == 0
        assert not site.disk.lazy


async def test_a_pubrel_and_a_pubcomp_wait_for_the_disk() -> None:
    async with serving() as site:
        watcher, sender = await come(site, hello("w")), await come(site, hello("s"))
        await watcher.subscribe(("t", 2))
        sender.publish("t", b"x", 2, 9)
        await sender.expect(PUBREC)
        message = await watcher.expect(PUBLISH)
        site.disk.slow = True
        watcher.send(acknowledge(PUBREC, message.packet_id))
        sender.send(acknowledge(PUBREL, 9))
        await until(lambda: len(site.disk.waiting) == 2)
        await watcher.quiet()
        await sender.quiet()
        site.disk.sync()
        await watcher.expect(PUBREL)
        await sender.expect(PUBCOMP)
        assert not site.disk.spaces[TAKEN]


async def test_an_unsuback_waits_for_the_disk() -> None:
    async with serving() as site:
        client = await come(site, hello("a"))
        await client.subscribe("t")
        site.disk.slow = True
        client.send(unsubscribe(3, "t"))
        await until(lambda: bool(site.disk.waiting))
        await client.quiet()
        site.disk.sync()
        assert (await client.next()).packet_id == 3


async def test_a_subscription_that_the_disk_refuses_is_none() -> None:
    async with serving() as site:
        client = await come(site, hello("a"))
        site.disk.full = True
        assert (await client.subscribe(("t", 1))).reasons == (0x97,)
        assert site.stat("subscriptions") == 0


async def test_a_connect_that_the_disk_refuses_leaves_the_session_and_its_will_as_they_were() -> None:
    async with serving() as site:
        will = Will("will", b"gone", properties=((WILL_DELAY, 60),))
        client = await come(site, hello("a", expiry=100, will=will))
        await client.subscribe(("t", 1))
        await client.cut()
        site.disk.full = True
        await (await opened(site, hello("a", expiry=0))).closed()
        site.disk.full = False
        pass_by(site, 70)
        assert site.door.topics == ["will"]
        assert (await come(site, hello("a"))).connack.session_present


# -- at QoS 2


async def test_a_message_that_waits_for_its_functions_is_taken_once_over_a_reconnect() -> None:
    async with serving() as site:
        sender = await come(site, hello("s"))
        sender.publish("wait/x", b"x", 2, 7)
        await until(lambda: site.door.topics == ["wait/x"])
        await sender.cut()
        again = await come(site, hello("s"))
        again.send(publish("wait/x", b"x", 2, 7, dup=True))
        await again.quiet()
        site.door.finish("wait/x")
        assert (await again.expect(PUBREC)).packet_id == 7
        again.send(acknowledge(PUBREL, 7))
        await again.expect(PUBCOMP)
        assert site.door.topics == ["wait/x"]
        assert site.stat("repeated_qos2") == 1


async def test_a_refused_message_is_refused_again_after_a_kill_and_runs_once() -> None:
    async with serving() as site:
        sender = await come(site, hello("s"))
        disk = site.disk
        disk.slow = True
        sender.publish("refuse/invalid", b"x", 2, 7)
        await until(lambda: bool(disk.waiting))
        disk.sync()
        kept = {space: dict(entries) for space, entries in disk.spaces.items()}
        assert (await sender.expect(PUBREC)).reason == 0x83
        disk.slow = False
        disk.sync()
        assert not disk.spaces[TAKEN], "its flow has ended"
    disk.spaces = kept  # as a kill between the commit and the answer leaves it
    async with serving(disk=disk) as site:
        sender = await come(site, hello("s"))
        sender.send(publish("refuse/invalid", b"x", 2, 7, dup=True))
        assert (await sender.expect(PUBREC)).reason == 0x83
        assert site.door.topics == []


async def test_a_will_at_qos_2_is_a_message_at_qos_2() -> None:
    async with serving() as site:
        watcher = await come(site, hello("w", expiry=0))
        await watcher.subscribe(("will", 2))
        client = await come(site, hello("a", expiry=0, will=Will("will", b"gone", 2)))
        await client.cut()
        message = await watcher.message()
        assert (message.payload, message.qos) == (b"gone", 2)


async def test_a_pubrel_before_its_pubrec_ends_the_connection() -> None:
    async with serving() as site:
        client = await come(site, hello("a"))
        client.publish("wait/x", b"", 2, 7)
        client.send(acknowledge(PUBREL, 7))
        assert await client.goodbye() == 0x82


# -- what is kept, and for how long


async def test_an_expired_session_leaves_nothing_on_disk() -> None:
    async with serving() as site:
        client, sender = await come(site, hello("a", expiry=100)), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 1))
        client.publish("u", b"", 2, 3)
        await client.expect(PUBREC)
        await client.cut()
        await sender.tell("t")
        assert [on_disk(site.disk, space) for space in (SESSIONS, MESSAGES, TAKEN)] == [1, 1, 1]
        pass_by(site, 102)
        assert [on_disk(site.disk, space) for space in (SESSIONS, MESSAGES, TAKEN)] == [0, 0, 0]
        assert site.stat("sessions_expired") == 1
        assert site.stat("queued_bytes") == site.stat("subscriptions") == 0


async def test_a_session_goes_on_expiring_while_the_node_does_not_run() -> None:
    disk = Disk()
    async with serving(disk=disk) as site:
        for name, expiry in (("short", 50), ("long", 500)):
            await (await come(site, hello(name, expiry=expiry))).cut()
    disk.offset += 100 * SECOND  # the wall clock went on, the monotonic one did not
    async with serving(disk=disk) as site:
        site.gateway.look()
        assert not (await come(site, hello("short"))).connack.session_present
        assert (await come(site, hello("long"))).connack.session_present


async def test_a_clean_start_discards_what_was_kept_on_disk_too() -> None:
    disk = Disk()
    async with serving(disk=disk) as site:
        client, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 1))
        await client.cut()
        await sender.tell("t")
        fresh = await come(site, hello("a", clean=True, expiry=0))
        assert not fresh.connack.session_present
        await fresh.quiet()
        assert [on_disk(disk, space) for space in (SESSIONS, MESSAGES)] == [0, 0]


async def test_what_is_acknowledged_is_forgotten_on_disk() -> None:
    async with serving() as site:
        client, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 2))
        for qos in (1, 2):
            await sender.tell("t", b"x", qos)
            await client.message()
        await client.quiet()
        assert on_disk(site.disk, MESSAGES) == 0
        assert site.stat("queued_bytes") == 0


async def test_a_session_belongs_to_its_identity_while_it_is_away_and_after_a_restart() -> None:
    disk = Disk()
    with living(device("ann") + device("bob")) as house:
        for clean in (False, True):
            async with serving(disk=disk, access=house.access) as site:
                client = await come(site, hello("ann", user="ann"))
                assert client.connack.session_present == clean
                await client.cut()
                assert await (await opened(site, hello("ann", user="bob", clean=clean))).goodbye() in {
                    0x85,
                    0x87,
                }
        async with serving(disk=disk, access=house.access) as site:
            assert (await come(site, hello("ann", user="ann"))).connack.session_present


@pytest.mark.parametrize(("policy", "left"), [("oldest", b"345"), ("newest", b"012")])
async def test_a_full_queue_drops_by_its_policy_and_counts(policy: str, left: bytes) -> None:
    config = MqttConfig(max_queue=3, queue_full="oldest" if policy == "oldest" else "newest")
    async with serving(config) as site:
        client, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 1))
        await client.cut()
        for n in range(6):
            await sender.tell("t", b"%d" % n)
        assert site.stat("dropped_queue_full") == 3
        assert on_disk(site.disk, MESSAGES) == 3
        again = await come(site, hello("a"))
        assert [(await again.message()).payload for _ in range(3)] == [left[n : n + 1] for n in range(3)]
        await again.quiet()


async def test_all_queues_together_are_bounded_in_bytes() -> None:
    async with serving(MqttConfig(max_queued_bytes=1000)) as site:
        client, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 1))
        await client.cut()
        for _ in range(5):
            await sender.tell("t", bytes(300))
        assert site.stat("dropped_queues_full") == 2
        assert site.stat("queued_bytes") <= 1000


async def test_a_node_that_keeps_enough_sessions_gives_one_that_ends_with_its_connection() -> None:
    async with serving(MqttConfig(max_sessions=1)) as site:
        first, second = await come(site, hello("a")), await come(site, hello("b"))
        assert (SESSION_EXPIRY, 0) in second.connack.properties
        assert (SESSION_EXPIRY, 0) not in first.connack.properties
        assert site.stat("sessions_not_kept") == 1


async def test_a_messages_time_goes_on_while_it_waits() -> None:
    disk = Disk()
    async with serving(disk=disk) as site:
        client, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 1))
        await client.cut()
        for seconds in (50, 500):
            sender.publish("t", b"%d" % seconds, 1, seconds, some=((MESSAGE_EXPIRY, seconds),))
            await sender.expect(PUBACK)
    disk.offset += 100 * SECOND
    async with serving(disk=disk) as site:
        client = await come(site, hello("a"))
        message = await client.message()
        assert message.payload == b"500"
        (left,) = [value for key, value in message.properties if key == MESSAGE_EXPIRY]
        assert 390 <= int(str(left)) <= 400
        await client.quiet()


async def test_at_qos_0_nothing_is_kept_for_who_is_away_and_it_is_counted() -> None:
    async with serving() as site:
        client, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 1), ("u", 0))
        await client.cut()
        await sender.tell("t", b"x", 0)
        await sender.tell("u", b"x", 1)
        assert site.stat("dropped_away") == 2
        again = await come(site, hello("a"))
        await again.quiet()


async def test_actions_are_kept_for_who_is_away_without_waiting_for_the_disk() -> None:
    disk = Disk()
    async with serving(disk=disk) as site:
        client = await come(site, hello("a"))
        await client.subscribe(("acted/#", 1))
        await client.cut()
        disk.slow = True
        assert site.gateway.publish("acted/x", b"on", 1, retain=False) == 1
        assert not disk.waiting
        disk.slow = False
        assert on_disk(disk, MESSAGES) == 1
    async with serving(disk=disk) as site:
        client = await come(site, hello("a"))
        assert (await client.message()).payload == b"on"


async def test_retained_messages_that_were_not_sent_yet_follow_to_the_next_connection() -> None:
    async with serving(MqttConfig(max_inflight=2)) as site:
        for n in range(5):
            site.gateway.publish(f"r/{n}", b"x", 1, retain=True)
        client = await come(site, hello("a"))
        client.send(subscribe(1, ("r/#", 1)))
        await client.expect(SUBACK)
        first = [await client.expect(PUBLISH) for _ in range(2)]
        await client.cut()
        again = await come(site, hello("a"))
        messages = [await again.message() for _ in range(5)]
        assert [message.topic for message in messages[:2]] == [message.topic for message in first]
        assert sorted(message.topic for message in messages) == [f"r/{n}" for n in range(5)]


# -- wills


async def test_a_delayed_will_survives_a_restart_and_is_sent_once() -> None:
    disk = Disk()
    will = Will("will", b"gone", 1, properties=((WILL_DELAY, 60),))
    async with serving(disk=disk) as site:
        watcher = await come(site, hello("w"))
        await watcher.subscribe(("will", 1))
        client = await come(site, hello("a", will=will))
        await client.cut()
    for seconds, wills in ((30, 0), (40, 1), (40, 0)):
        disk.offset += seconds * SECOND
        async with serving(disk=disk) as site:
            pass_by(site, 1)
            assert site.door.topics == ["will"] * wills
    async with serving(disk=disk) as site:
        watcher = await come(site, hello("w"))
        assert (await watcher.message()).payload == b"gone"
        await watcher.quiet()


async def test_a_client_that_comes_back_takes_its_delayed_will_back() -> None:
    disk = Disk()
    async with serving(disk=disk) as site:
        client = await come(site, hello("a", will=Will("will", b"gone", properties=((WILL_DELAY, 60),))))
        await client.cut()
        await come(site, hello("a"))
        pass_by(site, 100)
        assert site.door.topics == []


async def test_a_killed_node_takes_its_clients_for_gone() -> None:
    disk = Disk()
    async with serving(disk=disk) as site:
        await come(site, hello("a", will=Will("will", b"gone")))
        killed = {space: dict(entries) for space, entries in disk.spaces.items()}
    disk.spaces = killed
    async with serving(disk=disk) as site:
        pass_by(site, 1)
        assert site.door.topics == ["will"]
        assert (await come(site, hello("a"))).connack.session_present


async def test_a_second_connection_takes_the_session_over_with_all_that_waits() -> None:
    async with serving() as site:
        first, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await first.subscribe(("t", 1))
        await sender.tell("t", b"x")
        await first.expect(PUBLISH)
        second = await come(site, hello("a"))
        assert second.connack.session_present
        assert await first.goodbye() == 0x8E
        message = await second.message()
        assert (message.payload, message.dup) == (b"x", True)
        assert site.stat("takeovers") == 1


async def test_what_a_node_finds_of_sessions_that_are_gone_it_forgets() -> None:
    disk = Disk()
    async with serving(disk=disk) as site:
        client, sender = await come(site, hello("a")), await come(site, hello("s", expiry=0))
        await client.subscribe(("t", 1))
        client.publish("u", b"", 2, 3)
        await client.expect(PUBREC)
        await client.cut()
        await sender.tell("t")
    disk.spaces[SESSIONS].clear()
    async with serving(disk=disk):
        assert [on_disk(disk, space) for space in (MESSAGES, TAKEN)] == [0, 0]
        await asyncio.sleep(0)
