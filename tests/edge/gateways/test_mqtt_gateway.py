"""The MQTT gateway over real loopback sockets: devices on one side, a small door on the other."""

import asyncio

import pytest

from rimward.app.effects import EventPayload
from rimward.edge.dispatch.types import Refusal, Retained
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.events import CloudEvent
from rimward.events.cloudevents import from_structured
from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Properties,
    Puback,
    Publish,
    Reason,
    Suback,
    Subscription,
    Will,
    encode,
)

from .mqtt_support import Client, serving, until


@pytest.mark.parametrize("version", [4, 5])
async def test_a_message_goes_to_the_door_with_its_sender_and_is_acknowledged(version: int) -> None:
    async with serving() as site:
        device = await site.client("truck-7", version)
        packet_id = device.publish("trucks/7/temperature", b"9.5", 1)
        assert await device.next() == Puback(packet_id)
        (message,) = site.door.messages
        assert (message.topic, message.payload, message.qos) == ("trucks/7/temperature", b"9.5", 1)
        assert (message.sender.id, message.sender.protocol) == ("truck-7", f"mqtt{3 if version == 4 else 5}")
        assert message.sender.user is None, "a name that nobody checked is no identity"
        assert message.read_at == site.now


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1])
async def test_an_action_reaches_its_subscribers_in_the_same_read(version: int, qos: int) -> None:
    async with serving() as site:
        device = await site.client("a", version)
        assert await device.subscribe(Subscription("acted/+", qos)) == Suback(1, (qos,))
        device.publish("act/x", b"buzz", qos)
        action = await device.message()
        assert (action.topic, action.payload, action.qos) == ("acted/x", b"buzz", qos)


async def test_a_message_goes_on_to_subscribers_of_either_version() -> None:
    async with serving() as site:
        old, new, device = await site.client("old", 4), await site.client("new"), await site.client("device")
        await old.subscribe(Subscription("trucks/#", 0))
        await new.subscribe("trucks/+/t")
        properties = Properties(content_type="text/plain", user=(("k", "1"), ("k", "2")))
        device.publish("trucks/7/t", b"9", 1, properties=properties)
        assert await old.message() == Publish("trucks/7/t", b"9")
        assert await new.message() == Publish("trucks/7/t", b"9", 1, packet_id=1, properties=properties)
        assert site.door.topics == ["trucks/7/t"]


async def test_everything_of_a_read_is_written_at_once() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe(Subscription("acted/x", 0))
        before = site.stat("packets_out")
        data = b"".join(encode(Publish("act/x", b"%d" % n, 1, packet_id=n + 1), 5) for n in range(50))
        device.send(data)
        answers = [await device.next() for _ in range(100)]
        assert [p.payload for p in answers if isinstance(p, Publish)] == [b"%d" % n for n in range(50)]
        assert [p.packet_id for p in answers if isinstance(p, Puback)] == list(range(1, 51))
        assert site.stat("packets_out") - before == 100


REFUSALS = [
    ("payload", 0x99),
    ("invalid", 0x83),
    ("denied", 0x87),
    ("not-found", 0x83),
    ("conflict", 0x83),
    ("failed", 0x83),
    ("busy", 0x97),
    ("full", 0x97),
]


@pytest.mark.parametrize(("kind", "code"), REFUSALS)
async def test_a_refusal_is_said_in_mqtt_5_and_the_message_goes_nowhere(kind: str, code: int) -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe("#")
        packet_id = device.publish(f"refuse/{kind}", b"", 1)
        device.publish("next", b"", 1)
        answer = await device.next()
        assert answer == Puback(packet_id, code, Properties(reason_string=f"told to refuse: {kind}"))
        assert site.stat(f"refused_{kind}") == 1
        assert {type(await device.next()), type(await device.next())} == {Puback, Publish}


@pytest.mark.parametrize(("kind", "code"), REFUSALS)
async def test_3_1_1_is_acknowledged_where_nothing_can_help_and_hung_up_on_otherwise(
    kind: str, code: int
) -> None:
    async with serving() as site:
        device = await site.client(version=4)
        device.publish(f"refuse/{kind}", b"", 1)
        if code == 0x97:
            assert await device.ended() is None
        else:
            assert await device.next() == Puback(1)


async def test_answers_leave_in_the_order_of_the_messages() -> None:
    async with serving() as site:
        device = await site.client()
        device.publish("wait/a", b"", 1)
        device.publish("wait/b", b"", 1)
        device.publish("now", b"", 1)
        await until(lambda: len(site.door.messages) == 3)
        site.door.finish("wait/b")
        await asyncio.sleep(0)
        assert device.packets == []
        site.door.finish("wait/a")
        assert [await device.next() for _ in range(3)] == [Puback(1), Puback(2), Puback(3)]


async def test_subscribers_get_a_message_when_it_is_taken_and_not_when_it_is_refused() -> None:
    async with serving() as site:
        device, other = await site.client("a"), await site.client("b")
        await other.subscribe("#")
        device.publish("wait/a", b"", 1)
        device.publish("wait/b", b"", 0)
        device.publish("last", b"", 0)
        await until(lambda: len(site.door.messages) == 3)
        site.door.finish("wait/b")
        site.door.finish("wait/a", Refusal("full", "no room"))
        assert await device.next() == Puback(1, 0x97, Properties(reason_string="no room"))
        assert (await other.message()).topic == "wait/b"
        assert (await other.message()).topic == "last"


async def test_an_answer_that_comes_after_its_device_has_gone_hurts_nobody() -> None:
    async with serving() as site:
        device, other = await site.client("a"), await site.client("b")
        await other.subscribe("wait/a")
        device.publish("wait/a", b"x", 1)
        await until(lambda: len(site.door.messages) == 1)
        device.hang_up()
        await until(lambda: site.stat("clients") == 1)
        site.door.finish("wait/a")
        assert (await other.message()).payload == b"x"


async def test_a_client_over_its_receive_maximum_is_told_so() -> None:
    async with serving(MqttConfig(receive_maximum=2)) as site:
        device = await site.client()
        assert device.connack.properties is not None
        assert device.connack.properties.receive_maximum == 2
        device.send(b"".join(encode(Publish(f"wait/{n}", b"", 1, packet_id=n), 5) for n in (1, 2, 3)))
        assert await device.ended() == Disconnect(
            0x93, Properties(reason_string="3 messages unacknowledged, the limit is 2")
        )
        await until(lambda: site.stat("connections") == 0)


async def test_3_1_1_is_not_read_while_too_many_of_its_messages_wait() -> None:
    async with serving(MqttConfig(receive_maximum=2)) as site:
        device = await site.client(version=4)
        for n in (1, 2):
            device.publish(f"wait/{n}", b"", 1)
            await until(lambda n=n: len(site.door.messages) == n)
        device.publish("later", b"", 1)
        ping = await site.client("other")
        ping.publish("other", b"", 1)
        await ping.next()
        assert "later" not in site.door.topics
        site.door.finish("wait/1")
        site.door.finish("wait/2")
        assert [await device.next() for _ in range(3)] == [Puback(1), Puback(2), Puback(3)]


async def test_a_client_that_is_not_read_is_not_taken_for_silent() -> None:
    async with serving(MqttConfig(receive_maximum=1)) as site:
        device = await site.client(version=4, keep_alive=10)
        device.publish("wait/1", b"", 1)
        await until(lambda: len(site.door.messages) == 1)
        site.now += 60_000_000_000
        site.gateway.look()
        site.door.finish("wait/1")
        assert await device.next() == Puback(1)
        site.now += 60_000_000_000
        site.gateway.look()
        assert await device.ended() is None


async def test_an_impatient_resend_of_3_1_1_is_answered_once() -> None:
    async with serving() as site:
        device = await site.client(version=4)
        device.send(encode(Publish("wait/a", b"", 1, packet_id=5), 4))
        device.send(encode(Publish("wait/a", b"", 1, packet_id=5, dup=True), 4))
        device.send(encode(Publish("b", b"", 1, packet_id=6), 4))
        await until(lambda: len(site.door.messages) == 2)
        site.door.finish("wait/a")
        assert [await device.next(), await device.next()] == [Puback(5), Puback(6)]


async def test_a_reply_goes_to_the_response_topic_with_its_correlation() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe("answers/7")
        asked = Properties(response_topic="answers/7", correlation_data=b"42")
        device.publish("reply/x", b"hello", 1, properties=asked)
        assert await device.next() == Puback(2)
        assert await device.message() == Publish(
            "answers/7",
            b"answer to hello",
            1,
            packet_id=1,
            properties=Properties(content_type="text/plain", correlation_data=b"42"),
        )
        device.publish("reply/x", b"", 1, properties=Properties(response_topic="nobody/listens"))
        device.publish("reply/x", b"", 1)
        assert [await device.next(), await device.next()] == [Puback(3), Puback(4)]
        assert site.stat("replies_dropped") == 2


async def test_a_message_carries_what_its_properties_say() -> None:
    async with serving() as site:
        device = await site.client()
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        found = Properties(
            content_type="application/json",
            response_topic="r",
            correlation_data=b"c",
            user=(("x", "y"), ("traceparent", trace)),
        )
        device.publish("a", b"{}", 1, properties=found)
        await device.next()
        (message,) = site.door.messages
        assert (message.content_type, message.response_topic, message.correlation, message.traceparent) == (
            "application/json",
            "r",
            b"c",
            trace,
        )


async def test_no_local_and_retain_as_published_are_kept() -> None:
    async with serving() as site:
        device, other = await site.client("a"), await site.client("b")
        await device.subscribe(Subscription("x", 1, no_local=True))
        await other.subscribe(Subscription("x", 0, retain_as_published=True))
        device.publish("x", b"1", retain=True)
        other_heard = await other.message()
        assert other_heard.retain
        device.publish("last", b"", 1)
        assert await device.next() == Puback(2), "its own message did not come back"


async def test_each_subscriber_gets_a_message_once_however_many_filters_fit() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe(Subscription("a/b", 0), Subscription("a/+", 1), Subscription("#", 0))
        device.publish("a/b", b"", 1)
        assert {type(await device.next()), type(await device.next())} == {Puback, Publish}
        device.publish("a/b", b"last", 0)
        assert (await device.message()).payload == b"last"


async def test_an_ended_subscription_gets_nothing() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe("a/#", "b")
        assert (await device.unsubscribe("a/#", "c")).reasons == (0, Reason.NO_SUBSCRIPTION_EXISTED)
        device.publish("a/x", b"")
        device.publish("b", b"")
        assert (await device.message()).topic == "b"
        assert site.stat("subscriptions") == 1


async def test_more_subscriptions_than_the_limit_are_refused_one_by_one() -> None:
    async with serving(MqttConfig(max_subscriptions=2)) as site:
        device = await site.client()
        wishes = ["a", "b", "c", "a", "x/" * 40]
        assert await device.subscribe(*wishes) == Suback(
            1, (1, 1, 0x97, 1, 0x8F), Properties(reason_string="c: 2 subscriptions of one client, the limit")
        )
        old = await site.client("old", 4)
        assert await old.subscribe("$share/+/a", "a") == Suback(1, (0x80, 1))
        assert site.stat("refused_subscriptions") == 3


@pytest.mark.parametrize("clean", [True, False])
async def test_a_will_is_published_to_functions_and_subscribers_unless_its_client_says_goodbye(
    *, clean: bool
) -> None:
    async with serving() as site:
        other = await site.client("other")
        await other.subscribe("gone/#", "last")
        device = await site.client("device", will=Will("gone/device", b"sorry", 1, retain=True))
        if clean:
            device.goodbye()
            assert await device.ended() is None
        else:
            device.hang_up()
        await until(lambda: site.stat("clients") == 1)
        other.publish("last", b"")
        heard = await other.message()
        if clean:
            assert heard.topic == "last"
            assert site.door.topics == ["last"]
        else:
            assert (heard.topic, heard.payload) == ("gone/device", b"sorry")
            assert site.door.messages[0].sender.id == "device"
            assert site.disk.stored == {"gone/device": Retained(b"sorry", 1)}


async def test_disconnect_with_will_publishes_it() -> None:
    async with serving() as site:
        device = await site.client("device", will=Will("gone", b""))
        device.send(encode(Disconnect(0x04), 5))
        await device.ended()
        assert site.door.topics == ["gone"]


async def test_a_second_connection_takes_the_session_over() -> None:
    async with serving() as site:
        first = await site.client("same", will=Will("gone", b""))
        await first.subscribe("a")
        second = await site.client("same")
        last = await first.ended()
        assert isinstance(last, Disconnect)
        assert last.reason == Reason.SESSION_TAKEN_OVER
        assert site.door.topics == ["gone"]
        second.publish("a", b"", 1)
        assert await second.next() == Puback(1), "it starts without subscriptions"
        assert site.stat("clients") == 1
        assert site.stat("takeovers") == 1


async def test_clients_without_an_id_get_one_each() -> None:
    async with serving() as site:
        first, second = await site.client(""), await site.client("", 4)
        first.publish("a", b"", 1)
        second.publish("b", b"", 1)
        await first.next()
        await second.next()
        one, two = (message.sender.id for message in site.door.messages)
        assert one == first.session.client_id
        assert one != two


async def test_one_client_too_many_is_told_that_the_server_is_busy() -> None:
    async with serving(MqttConfig(max_connections=1)) as site:
        first = await site.client("a")
        assert first.connack.reason == 0
        second = await site.client("b")
        assert second.connack.reason == Reason.SERVER_BUSY
        third = await site.client("c", 4)
        assert third.connack == Connack(reason=3)


async def test_a_silent_client_is_dropped_at_one_and_a_half_keep_alives_and_its_will_published() -> None:
    async with serving() as site:
        device = await site.client("quiet", keep_alive=10, will=Will("gone", b""))
        site.now += 14_000_000_000
        site.gateway.look()
        device.publish("alive", b"", 1)
        assert await device.next() == Puback(1)
        site.now += 14_000_000_000
        site.gateway.look()
        assert site.stat("clients") == 1
        site.now += 3_000_000_000
        site.gateway.look()
        last = await device.ended()
        assert isinstance(last, Disconnect)
        assert last.reason == Reason.KEEP_ALIVE_TIMEOUT
        assert site.door.topics == ["alive", "gone"]


async def test_a_connection_that_never_says_who_it_is_is_closed() -> None:
    async with serving() as site:
        raw = await site.raw()
        await until(lambda: site.stat("connections") == 1)
        site.now += 12_000_000_000
        site.gateway.look()
        assert await raw.rest() == b""
        await until(lambda: site.stat("connections") == 0)


async def test_a_peer_that_does_not_hang_up_after_the_goodbye_is_cut_off() -> None:
    async with serving() as site:
        raw = await site.raw()
        raw.send(b"\x00")
        await until(lambda: site.stat("closed_protocol_error") == 1)
        assert site.stat("connections") == 1
        site.now += 4_000_000_000
        site.gateway.look()
        await until(lambda: site.stat("connections") == 0)
        raw.hang_up()


async def test_the_node_says_goodbye_when_it_stops() -> None:
    async with serving() as site:
        new, old = await site.client("new", will=Will("gone", b"")), await site.client("old", 4)
        closing = asyncio.create_task(site.gateway.close(5.0))
        last = await new.ended()
        assert last == Disconnect(0x8B, Properties(reason_string="the node stops"))
        assert await old.ended() is None
        await closing
        assert site.stat("connections") == 0
        assert site.door.topics == [], "a device that is alive has no last will"


async def test_a_client_that_does_not_hang_up_does_not_hold_the_node() -> None:
    async with serving() as site:
        device = await site.client()
        await site.gateway.close(0.01)
        assert site.stat("connections") == 0
        device.hang_up()


# -- retained messages


async def test_a_retained_message_waits_for_new_subscribers_and_its_answer_for_the_disk() -> None:
    async with serving() as site:
        site.disk.slow = True
        device, early, late = [await site.client(name) for name in ("device", "early", "late")]
        await early.subscribe("state/7")
        device.publish("state/7", b"on", 1, retain=True)
        await until(lambda: len(site.disk.waiting) == 1)
        assert await late.subscribe("state/+") == Suback(1, (1,))
        assert await late.message() == Publish("state/7", b"on", 1, retain=True, packet_id=1)
        assert device.packets == []
        site.disk.sync()
        assert await device.next() == Puback(1)
        assert await early.message() == Publish("state/7", b"on", 1, packet_id=1), "news, not a memory"
        device.publish("state/7", b"last")
        assert (await late.message()).payload == b"last", "it got the one before once"
        assert site.disk.stored == {"state/7": Retained(b"on", 1)}


async def test_an_empty_payload_forgets_what_was_retained() -> None:
    async with serving() as site:
        device = await site.client()
        device.publish("state/7", b"on", 1, retain=True)
        device.publish("state/7", b"", 1, retain=True)
        device.publish("state/8", b"", 1, retain=True)
        assert [await device.next() for _ in range(3)] == [Puback(1), Puback(2), Puback(3)]
        assert site.disk.stored == {}
        assert await device.subscribe("#") == Suback(4, (1,))
        device.publish("last", b"")
        assert (await device.message()).topic == "last"


async def test_retained_messages_survive_a_restart() -> None:
    async with serving() as site:
        site.disk.stored = {"before": Retained(b"x", 1)}
        site.gateway.broker.load_retained(site.disk.stored)
        device = await site.client()
        await device.subscribe("before")
        assert await device.message() == Publish("before", b"x", 1, retain=True, packet_id=1)


async def test_a_retained_message_that_the_disk_refuses_is_refused_and_the_old_one_stands() -> None:
    async with serving() as site:
        device, other = await site.client("a"), await site.client("b")
        device.publish("s", b"old", 1, retain=True)
        await device.next()
        site.disk.full = site.disk.slow = True
        device.publish("s", b"new", 1, retain=True)
        await until(lambda: len(site.disk.waiting) == 1)
        site.disk.sync()
        assert await device.next() == Puback(2, 0x97, Properties(reason_string="the disk is full"))
        await other.subscribe("s")
        assert (await other.message()).payload == b"old"


async def test_retained_messages_have_a_limit() -> None:
    async with serving(MqttConfig(max_retained=1, max_retained_bytes=100)) as site:
        device = await site.client()
        device.publish("a", b"x", 1, retain=True)
        device.publish("b", b"x", 1, retain=True)
        device.publish("a", b"y" * 99, 1, retain=True)
        answers = [await device.next() for _ in range(3)]
        assert [p.reason for p in answers if isinstance(p, Puback)] == [0, 0x97, 0x97]
        assert site.stat("retained") == 1


async def test_retain_handling_says_when_retained_messages_come() -> None:
    async with serving() as site:
        device = await site.client()
        device.publish("s", b"x", 1, retain=True)
        await device.next()
        only_new = Subscription("s", retain_handling=1)
        await device.subscribe(only_new)
        assert (await device.message()).retain
        await device.subscribe(only_new, Subscription("+", retain_handling=2))
        device.publish("last", b"")
        assert (await device.message()).topic == "last"


async def test_an_expired_message_is_not_given_to_new_subscribers() -> None:
    async with serving() as site:
        device = await site.client()
        device.publish("s", b"x", 1, retain=True, properties=Properties(message_expiry=60))
        await device.next()
        site.now += 20_000_000_000
        await device.subscribe("s")
        found = await device.message()
        assert found.properties == Properties(message_expiry=40)
        site.now += 40_000_000_000
        await device.subscribe("s")
        device.publish("s", b"live")
        assert (await device.message()).payload == b"live"


async def test_an_action_may_be_retained() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe("mode")
        assert site.gateway.publish("mode", b"{}", 0, retain=True) == 1
        assert await device.message() == Publish("mode", b"{}")
        assert site.disk.stored == {"mode": Retained(b"{}", 0)}
        assert site.gateway.publish("nobody", b"", 1, retain=False) == 0
        assert site.gateway.publish("not/+/a/topic", b"", 1, retain=False) == 0
        assert site.stat("actions_refused") == 1


async def test_an_event_as_an_action_has_its_attributes_as_properties_and_is_retained_whole() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe("mode")
        event = CloudEvent(
            id="1", source="/x", type="mode.v1", datacontenttype="application/json", data=b"{}"
        )
        payload = EventPayload.of(event)
        assert site.gateway.publish("mode", payload, 0, retain=True) == 1
        user = (("specversion", "1.0"), ("id", "1"), ("source", "/x"), ("type", "mode.v1"))
        expected = Properties(content_type="application/json", user=user)
        assert await device.message() == Publish("mode", b"{}", properties=expected)
        stored = site.disk.stored["mode"]
        assert (stored.payload, stored.qos) == (b"{}", 0)
        assert stored.properties.endswith(b"mode.v1")
        assert stored.older is not None
        assert from_structured("application/cloudevents+json", stored.older) == event
        assert from_structured("application/cloudevents+json", payload) == event


async def test_an_event_that_binary_mode_can_not_carry_is_sent_in_the_json_event_format() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe("mode")
        empty = CloudEvent(id="1", source="/x", type="mode.v1")
        long = CloudEvent(id="2", source="/x", type="mode.v1", subject="x" * 65_536, data=b"{}")
        for event, retain in ((empty, True), (long, False)):
            site.gateway.publish("mode", EventPayload.of(event), 1, retain=retain)
            found = await device.message()
            assert found.properties is not None
            assert found.properties.content_type is not None
            assert from_structured(found.properties.content_type, found.payload) == event
        assert list(site.disk.stored) == ["mode"]


async def test_an_action_outside_any_read_is_written_by_itself() -> None:
    async with serving() as site:
        device = await site.client()
        await device.subscribe("a")
        site.gateway.publish("a", b"1", 1, retain=False)
        site.gateway.publish("a", b"2", 1, retain=False)
        assert [(await device.message()).payload for _ in range(2)] == [b"1", b"2"]


# -- bad input


@pytest.mark.parametrize(
    ("what", "data", "reason"),
    [
        ("a malformed packet", b"\x00\x00", Reason.MALFORMED_PACKET),
        ("an oversized packet", b"\x30\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
        ("a second CONNECT", encode(Connect("c", 5), 5), Reason.PROTOCOL_ERROR),
        ("a topic that is not UTF-8", b"\x30\x05\x00\x02\xff\xfe\x00", Reason.MALFORMED_PACKET),
        ("a topic with a wildcard", b"\x30\x06\x00\x03a/#\x00", Reason.TOPIC_NAME_INVALID),
    ],
)
async def test_bad_input_ends_its_own_connection_in_the_protocols_words(
    what: str, data: bytes, reason: Reason
) -> None:
    async with serving() as site:
        good, bad, old = await site.client("good"), await site.client("bad"), await site.client("old", 4)
        bad.send(encode(Publish("before", b"", 1, packet_id=1), 5) + data + b"\x00" * 100_000)
        last = await bad.ended()
        assert isinstance(last, Disconnect), what
        assert last.reason == reason
        old.send(data)
        assert await old.ended() is None, what
        good.publish("after", b"", 1)
        assert await good.next() == Puback(1)
        assert site.door.topics == ["before", "after"]
        assert site.stat(f"closed_{reason.name.lower()}") == 2
        assert len(site.dead) == (2 if data[0] >> 4 == 3 else 0)


async def test_a_stranger_is_hung_up_on_without_a_word() -> None:
    async with serving() as site:
        raw = await site.raw()
        raw.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await raw.rest() == b""
        assert site.stat("closed_protocol_error") == 1


@pytest.mark.parametrize("topic", ["$SYS/x", "a%2Fb", "a/" * 40 + "a", "x" * 1025])
async def test_a_topic_that_the_node_does_not_take_is_refused_and_kept_as_a_dead_letter(topic: str) -> None:
    async with serving() as site:
        new, old = await site.client("new"), await site.client("old", 4)
        new.publish(topic, b"x", 1)
        answer = await new.next()
        assert isinstance(answer, Puback)
        assert answer.reason == Reason.TOPIC_NAME_INVALID
        old.publish(topic, b"y", 1)
        assert await old.next() == Puback(1)
        new.publish(topic, b"z")
        new.publish("last", b"", 1)
        await new.next()
        assert [(reason, sender, payload) for reason, _, sender, _, payload in site.dead] == [
            ("topic", "new", b"x"),
            ("topic", "old", b"y"),
            ("topic", "new", b"z"),
        ]
        assert site.door.topics == ["last"]


@pytest.mark.parametrize("version", [4, 5])
async def test_a_message_that_the_gateway_refuses_is_answered_when_its_dead_letter_is_on_disk(
    version: int,
) -> None:
    async with serving() as site:
        device = await site.client(version=version)
        site.disk.slow = True
        device.publish("a%2Fb", b"x", 1)
        device.publish("next", b"", 1)
        await until(lambda: site.door.topics == ["next"])
        assert device.packets == []
        assert site.stat("refused_topic") == 0
        site.burials.pop().finish()
        first, second = await device.next(), await device.next()
        assert isinstance(first, Puback)
        assert first.reason == (0 if version == 4 else Reason.TOPIC_NAME_INVALID)
        assert second == Puback(2)


@pytest.mark.parametrize("late", [False, True])
async def test_a_refused_message_whose_dead_letter_finds_no_disk_is_not_acknowledged(late: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    async with serving() as site:
        new, old = await site.client("new"), await site.client("old", 4)
        site.disk.full, site.disk.slow = not late, late
        new.publish("a%2Fb", b"x", 1)
        old.publish("a%2Fb", b"y", 1)
        if late:
            await until(lambda: len(site.burials) == 2)
            for ticket in site.burials:
                ticket.finish(Refusal("full", "the disk is full"))
        assert await new.next() == Puback(1, 0x97, Properties(reason_string="the disk is full"))
        assert await old.ended() is None


async def test_a_payload_that_lies_about_being_text_is_refused() -> None:
    async with serving() as site:
        device = await site.client()
        device.publish("a", b"\xff", 1, properties=Properties(payload_format=1))
        answer = await device.next()
        assert isinstance(answer, Puback)
        assert answer.reason == Reason.PAYLOAD_FORMAT_INVALID
        assert site.door.topics == []
        assert site.dead[0][0] == "payload"


async def test_a_door_that_fails_ends_one_connection_and_says_so() -> None:
    async with serving() as site:
        good, unlucky = await site.client("good"), await site.client("unlucky")
        unlucky.publish("raise", b"", 1)
        last = await unlucky.ended()
        assert isinstance(last, Disconnect)
        assert last.reason == Reason.IMPLEMENTATION_SPECIFIC_ERROR
        good.publish("a", b"", 1)
        assert await good.next() == Puback(1)
        assert site.stat("internal_errors") == 1


async def test_a_slow_reader_slows_nobody_else() -> None:
    async with serving(MqttConfig(max_output=200_000)) as site:
        slow, quick = await site.client("slow"), await site.client("quick")
        await slow.subscribe(Subscription("a", 0))
        slow.stop_reading()
        for n in range(400):
            quick.publish("a", b"x" * 50_000, 1)
            assert await quick.next() == Puback(n + 1)
            if site.stat("dropped_slow_reader"):
                break
        assert site.stat("dropped_slow_reader") > 0
        assert site.stat("slow_readers") > 0
        slow.read_again()
        slow.publish("b", b"", 1)
        while not isinstance(await slow.next(), Puback):
            pass


async def test_a_slow_reader_at_qos_1_is_told_to_go_rather_than_skipped() -> None:
    async with serving(MqttConfig(max_output=200_000)) as site:
        slow, quick = await site.client("slow"), await site.client("quick")
        await slow.subscribe("a")
        slow.stop_reading()
        for n in range(400):
            quick.publish("a", b"x" * 50_000, 1)
            assert await quick.next() == Puback(n + 1)
            if site.stat("closed_quota_exceeded"):
                break
        assert site.stat("closed_quota_exceeded") == 1
        assert site.stat("clients") == 1


async def test_a_burst_of_bytes_cut_into_single_ones_is_read_as_one() -> None:
    async with serving() as site:
        connect = Connect("slow", 5)
        raw = await site.raw()
        for byte in encode(connect, 5) + encode(Publish("a", b"x", 1, packet_id=3), 5):
            raw.send(bytes((byte,)))
            await asyncio.sleep(0)
        client = Client(raw.reader, raw.writer, connect)
        assert isinstance(await client.next(), Connack)
        assert await client.next() == Puback(3)
        client.hang_up()
