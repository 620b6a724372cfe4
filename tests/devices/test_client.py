"""The device's client against a server that acknowledges, refuses, falls silent and drops."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from rimward.devices.client import Acknowledgement, Client, Settings
from rimward.devices.errors import DeviceError, Refused, Unanswered, Unreachable
from rimward.devices.messages import INBOX, Inbox
from rimward.devices.reconnect import Backoff, Waits
from rimward.protocols.mqtt import MqttError, Publish, Reason, Will

from .peer import Link, Peer, closed_port, echo

SOON = Waits(first=0.001, most=0.01)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as peer:
        yield peer


def settings(peer: Peer, **others: object) -> Settings:
    return Settings(port=peer.port, client_id="watch-1", **others)  # pyright: ignore[reportArgumentType] (each test names one field)


def lasting(peer: Peer, **others: object) -> Client:
    return Client(settings(peer, **others), reconnect=Backoff(SOON, random=Random(1)))


def withhold(_link: Link, _packet: Publish) -> None: ...


@pytest.mark.parametrize("version", [4, 5])
async def test_a_qos_1_message_is_acknowledged(peer: Peer, version: int) -> None:
    async with Client(settings(peer, version=version)) as client:
        assert await client.publish("a/b", b"x", 1) == Acknowledgement(0, "success")
    assert [(p.topic, p.payload, p.qos, p.dup) for p in peer.published] == [("a/b", b"x", 1, False)]


async def test_a_qos_0_message_is_sent_and_nothing_is_waited_for(peer: Peer) -> None:
    async with Client(settings(peer)) as client:
        assert (await client.publish("a", b"x")).code == 0
        await peer.until(lambda: len(peer.published) == 1)
        assert client.unacknowledged == 0


async def test_a_refused_message_says_why_in_the_servers_words(peer: Peer) -> None:
    peer.on_publish = lambda link, packet: link.session.acknowledge(
        packet.packet_id, 0x99, "celsius: no number"
    )
    async with Client(settings(peer)) as client:
        answer = await client.publish("a", b"x", 1)
    assert answer == Acknowledgement(0x99, "celsius: no number")
    assert not answer.accepted


async def test_a_reason_without_words_is_named(peer: Peer) -> None:
    peer.on_publish = lambda link, packet: link.session.acknowledge(packet.packet_id, 0x97)
    async with Client(settings(peer)) as client:
        assert (await client.publish("a", b"x", 1)).reason == "quota exceeded"


async def test_a_message_that_is_not_acknowledged_in_time_is_said_to_be(peer: Peer) -> None:
    peer.on_publish = withhold
    async with Client(settings(peer, timeout=0.05)) as client:
        with pytest.raises(Unanswered, match=r"within 0\.05 s"):
            await client.publish("a", b"x", 1)


async def test_a_broken_topic_is_refused_before_it_is_sent(peer: Peer) -> None:
    async with Client(settings(peer)) as client:
        with pytest.raises(MqttError):
            await client.publish("a/+", b"x", 1)
        assert (await client.publish("a/b", b"x", 1)).accepted


async def test_nobody_at_the_address_is_said_with_the_address() -> None:
    port = await closed_port()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        await Client(Settings(port=port)).__aenter__()


@pytest.mark.parametrize(("version", "words"), [(4, "not authorized"), (5, "as the test wants")])
async def test_a_refused_connection_says_why(peer: Peer, version: int, words: str) -> None:
    peer.refusal = Reason.NOT_AUTHORIZED
    with pytest.raises(Refused, match=words):
        await Client(settings(peer, version=version)).__aenter__()


async def test_a_server_that_never_answers_the_connect_is_given_up(peer: Peer) -> None:
    peer.is_mute = True
    with pytest.raises(Unanswered):
        await Client(settings(peer, timeout=0.05)).__aenter__()


async def test_a_server_that_does_not_answer_the_ping_loses_the_client(peer: Peer) -> None:
    client = Client(settings(peer, keep_alive=1, timeout=0.05))
    async with client:
        peer.is_mute = True
        await peer.until(lambda: not peer.links)
        with pytest.raises(Unreachable, match="did not answer"):
            await client.ready()


async def test_a_subscription_gets_what_fits_and_acknowledges_qos_1(peer: Peer) -> None:
    got: list[Publish] = []
    async with Client(settings(peer)) as client:
        assert await client.subscribe("a/+/buzz", got.append, 1) == 1
        peer.links[0].send("a/1/buzz", b"0")
        peer.links[0].send("a/1/buzz", b"1", 1)
        await peer.until(lambda: bool(peer.confirmed))
    assert [(p.payload, p.qos) for p in got] == [(b"0", 0), (b"1", 1)]


async def test_an_inbox_yields_messages_in_order(peer: Peer) -> None:
    async with Client(settings(peer)) as client:
        inbox = await client.inbox("a/#")
        for n in range(3):
            peer.links[0].send("a/b", b"%d" % n)
        async with asyncio.timeout(5):
            assert [(await anext(inbox)).payload for _ in range(3)] == [b"0", b"1", b"2"]


async def test_an_inbox_that_nobody_reads_drops_the_oldest_and_counts_them() -> None:
    inbox = Inbox()
    for n in range(INBOX + 2):
        inbox.put(Publish("a", b"%d" % n))
    assert (inbox.dropped, (await anext(inbox)).payload, len(inbox)) == (2, b"2", INBOX - 1)


async def test_a_refused_subscription_is_an_error_and_forgotten(peer: Peer) -> None:
    peer.grants = 0x87
    client = lasting(peer)
    async with client:
        with pytest.raises(Refused, match="a/b: not authorized"):
            await client.subscribe("a/b", withhold_message)
        peer.links[0].drop()
        await peer.until(lambda: len(peer.connects) == 2)
        await client.ready()
        assert peer.links[0].filters == []


def withhold_message(_message: Publish) -> None: ...


async def test_a_lost_connection_without_a_policy_is_final(peer: Peer) -> None:
    async with Client(settings(peer)) as client:
        peer.links[0].drop()
        await peer.until(lambda: not peer.links)
        with pytest.raises(Unreachable, match="lost"):
            await client.publish("a", b"x", 1)


async def test_what_was_not_acknowledged_is_sent_again_in_order_marked_as_duplicate(peer: Peer) -> None:
    peer.on_publish = withhold
    answers: list[Acknowledgement] = []
    client = lasting(peer)
    async with client:
        for n in range(3):
            client.send("a", b"%d" % n, 1, done=answers.append)
        await peer.until(lambda: len(peer.published) == 3)
        peer.on_publish = Link.acknowledge
        peer.links[0].drop()
        assert await client.settle(10) == 0
    assert [(p.payload, p.dup) for p in peer.published] == [
        *[(b"%d" % n, False) for n in range(3)],
        *[(b"%d" % n, True) for n in range(3)],
    ]
    assert len(answers) == 3
    assert (client.reconnects, client.resent) == (1, 3)


async def test_an_acknowledged_message_is_not_sent_again(peer: Peer) -> None:
    client = lasting(peer)
    async with client:
        await client.publish("a", b"x", 1)
        peer.links[0].drop()
        await peer.until(lambda: len(peer.connects) == 2)
        await client.publish("a", b"y", 1)
    assert [p.payload for p in peer.published] == [b"x", b"y"]


async def test_a_message_in_flight_is_answered_across_a_reconnection(peer: Peer) -> None:
    def drop_the_first(link: Link, packet: Publish) -> None:
        if packet.dup:
            link.acknowledge(packet)
        else:
            link.drop()

    peer.on_publish = drop_the_first
    async with lasting(peer) as client:
        assert (await client.publish("a", b"x", 1)).accepted


async def test_subscriptions_are_made_again_after_a_loss(peer: Peer) -> None:
    async with lasting(peer) as client:
        inbox = await client.inbox("a/+")
        peer.links[0].drop()
        await peer.until(lambda: len(peer.connects) == 2 and peer.links[-1].filters == ["a/+"])
        peer.links[-1].send("a/b", b"again")
        async with asyncio.timeout(5):
            assert (await anext(inbox)).payload == b"again"


async def test_a_server_that_is_away_for_several_attempts_is_waited_for(peer: Peer) -> None:
    peer.refusal = Reason.SERVER_BUSY
    client = lasting(peer)
    peer.refusal = None
    async with client:
        peer.refusal = Reason.SERVER_BUSY
        peer.links[0].drop()
        await peer.until(lambda: len(peer.connects) >= 4)
        peer.refusal = None
        assert (await client.publish("a", b"x", 1)).accepted
    assert client.reconnects == 1


async def test_a_refusal_for_good_ends_the_attempts(peer: Peer) -> None:
    async with lasting(peer) as client:
        peer.refusal = Reason.BAD_USER_NAME_OR_PASSWORD
        peer.links[0].drop()
        with pytest.raises(Refused):
            await client.publish("a", b"x", 1)
    assert len(peer.connects) == 2


async def test_a_client_whose_id_was_taken_does_not_fight_for_it(peer: Peer) -> None:
    async with lasting(peer) as client:
        peer.links[0].fail(Reason.SESSION_TAKEN_OVER)
        await peer.until(lambda: not peer.links)
        with pytest.raises(Refused, match="took this client id"):
            await client.ready()
    assert peer.connects == ["watch-1"]


async def test_send_without_room_is_refused_and_ready_waits_for_it(peer: Peer) -> None:
    peer.on_publish = withhold
    async with Client(settings(peer, window=2)) as client:
        client.send("a", b"0", 1)
        client.send("a", b"1", 1)
        with pytest.raises(Unreachable, match="window is full"):
            client.send("a", b"2", 1)
        await peer.until(lambda: len(peer.published) == 2)
        link = peer.links[0]
        link.acknowledge(peer.published[0])
        link.flush()
        await client.ready()
        client.send("a", b"2", 1)
        assert client.unacknowledged == 2


async def test_a_window_of_several_hundred_is_kept_over_thousands_of_messages(peer: Peer) -> None:
    async with Client(settings(peer, window=200)) as client:
        for n in range(3000):
            await client.ready()
            client.send("a", b"%d" % n, 1)
        assert await client.settle(10) == 0
    assert [int(p.payload) for p in peer.published] == list(range(3000))


async def test_closing_says_goodbye_so_that_no_will_is_published(peer: Peer) -> None:
    async with Client(settings(peer, will=Will("gone", b""))):
        link = peer.links[0]
    assert link.session.ended
    assert link.session.goodbye_reason == 0


async def test_closing_while_the_server_is_away_ends_the_attempts(peer: Peer) -> None:
    async with lasting(peer) as client:
        peer.server.close()
        peer.links[0].drop()
        await peer.until(lambda: not peer.links)
    with pytest.raises(DeviceError):
        await client.ready()


async def test_an_action_comes_back_to_the_device_that_caused_it(peer: Peer) -> None:
    peer.on_publish = echo("buzz")
    async with Client(settings(peer)) as client:
        inbox = await client.inbox("wearers/1/buzz")
        client.send("wearers/1/motion", b"hard")
        async with asyncio.timeout(5):
            assert (await anext(inbox)).payload == b"hard"


def test_waits_grow_to_their_limit_and_start_over_after_a_success() -> None:
    policy = Backoff(Waits(first=1, most=8, factor=2), random=Random(3))
    delays = [policy.delay() for _ in range(50)]
    for delay, most in zip(delays, [1, 2, 4, *[8] * 47], strict=True):
        assert most / 2 <= delay <= most
    assert len({round(delay, 6) for delay in delays}) == 50
    policy.succeeded()
    assert policy.delay() <= 1
