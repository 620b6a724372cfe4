"""A server's session: what it accepts, refuses, announces, and says at the end."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.mqtt import (
    Auth,
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    Pingreq,
    Properties,
    Puback,
    Publish,
    Reason,
    ServerSession,
    SessionLimits,
    Suback,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
    encode,
)
from rimward.protocols.mqtt.outgoing import message

from . import strategies

LIMITS = SessionLimits(
    max_packet_size=4096,
    receive_maximum=3,
    topic_alias_maximum=4,
    max_output=2000,
    max_session_expiry=600,
)


def said(session: ServerSession) -> list[Packet]:
    """Take what the session sends."""
    decoder = Decoder(1 << 20, version=session.version or 4)
    packets = decoder.feed(session.data_to_send())
    assert decoder.error is None
    return packets


def drive(session: ServerSession, data: bytes, now: float = 0.0) -> list[Packet]:
    """Answer as the simplest server would: everyone is welcome, every message is taken."""
    packets = session.receive_data(data, now)
    for packet in packets:
        match packet:
            case Connect():
                session.accept("" if packet.client_id else "assigned")
            case Publish() if packet.qos:
                session.acknowledge(packet.packet_id)
            case Subscribe():
                session.granted(packet, tuple(min(wish.qos, 1) for wish in packet.subscriptions))
            case Unsubscribe():
                session.ended_subscriptions(packet, tuple(0 for _ in packet.filters))
            case Pingreq():
                session.pong()
            case Puback():
                session.confirmed(packet, now)
            case _:
                pass
        if session.closed:
            break
    return packets


def connected(
    version: int = 5, properties: Properties | None = None, limits: SessionLimits = LIMITS
) -> ServerSession:
    session = ServerSession(0.0, limits)
    drive(session, encode(Connect("c", version, properties=properties), version))
    session.data_to_send()
    return session


def last_words(session: ServerSession) -> Packet | None:
    packets = said(session)
    return packets[-1] if packets else None


def reason_of(packet: Packet | None) -> int | None:
    return packet.reason if isinstance(packet, Connack | Disconnect | Puback) else None


def fails_with(session: ServerSession, packet: Packet, reason: Reason) -> None:
    drive(session, encode(packet, session.version))
    assert session.error is not None
    assert session.error.reason is reason
    goodbye = last_words(session)
    assert isinstance(goodbye, Disconnect)
    assert goodbye.reason == reason


@given(st.sampled_from([4, 5]), st.lists(st.integers(0), max_size=5), st.integers(0, 3), st.data())
def test_cutting_the_stream_anywhere_changes_neither_packets_nor_replies_nor_error(
    version: int, cuts: list[int], damage: int, data: st.DataObject
) -> None:
    packets = data.draw(
        st.lists(strategies.packets(version) | strategies.publishes(version, 1, "topic_alias"), max_size=6)
    )
    stream = bytearray(encode(Connect("c", version), version) + b"".join(encode(p, version) for p in packets))
    for _ in range(damage):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))

    def run(pieces: list[bytes]) -> tuple[list[Packet], bytes, Reason | None, str]:
        session = ServerSession(0.0)
        found = [packet for piece in pieces for packet in drive(session, piece)]
        error = session.error
        return found, session.data_to_send(), error and error.reason, error.detail if error else ""

    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    cut = [bytes(stream[a:b]) for a, b in pairwise(places)]
    assert run(cut) == run([bytes(stream)])


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_random_bytes_never_raise(first: bytes, second: bytes) -> None:
    session = ServerSession(0.0)
    drive(session, first)
    drive(session, second)
    session.data_to_send()
    known = connected()
    drive(known, first + second)
    known.data_to_send()


def test_connack_announces_what_is_offered_and_what_is_not() -> None:
    session = ServerSession(0.0, LIMITS)
    drive(session, encode(Connect("", 5, properties=Properties(session_expiry=1000)), 5))
    assert said(session) == [
        Connack(
            properties=Properties(
                session_expiry=600,
                receive_maximum=3,
                maximum_packet_size=4096,
                assigned_client_id="assigned",
                topic_alias_maximum=4,
            )
        )
    ]


def test_a_connect_that_is_refused_is_answered_in_its_versions_words() -> None:
    for connect, answer in (
        (Connect("x" * 257, 5), Reason.CLIENT_IDENTIFIER_NOT_VALID),
        (Connect("x" * 257, 4), 2),
        (Connect("", 4, clean_start=False), 2),
        (Connect("c", 5, properties=Properties(authentication_method="x")), Reason.BAD_AUTHENTICATION_METHOD),
        (Connect("c", 5, will=Will("$SYS/a", b"")), Reason.TOPIC_NAME_INVALID),
        (Connect("c", 4, will=Will("$SYS/a", b"")), 5),
    ):
        session = ServerSession(0.0)
        assert drive(session, encode(connect, connect.version)) == []
        assert session.error is not None
        assert reason_of(last_words(session)) == answer


def test_an_older_version_is_told_so() -> None:
    session = ServerSession(0.0)
    drive(session, bytes.fromhex("10 0f 0006 4d5149736470 03 02 003c 0001 61"))
    assert session.data_to_send() == bytes.fromhex("20 02 00 01")


def test_a_newer_version_is_told_so_in_mqtt_5() -> None:
    session = ServerSession(0.0)
    drive(session, bytes.fromhex("10 0e 0004 4d515454 06 02 003c 00 0001 61"))
    assert reason_of(last_words(session)) == Reason.UNSUPPORTED_PROTOCOL_VERSION


def test_a_stranger_is_hung_up_on_without_a_word() -> None:
    session = ServerSession(0.0)
    drive(session, b"GET / HTTP/1.1\r\n")
    assert session.error is not None
    assert session.data_to_send() == b""


def test_a_second_connect_ends_the_session() -> None:
    fails_with(connected(), Connect("c", 5), Reason.PROTOCOL_ERROR)
    old = connected(4)
    drive(old, encode(Connect("c"), 4))
    assert old.error is not None
    assert old.data_to_send() == b""


def test_what_is_not_offered_is_refused_by_name() -> None:
    fails_with(connected(), Auth(0x19), Reason.PROTOCOL_ERROR)


def test_a_client_may_not_send_what_servers_send() -> None:
    for packet in (
        Connack(),
        Suback(1, (0,)),
        Publish("a", b"", properties=Properties(subscription_ids=(1,))),
    ):
        fails_with(connected(), packet, Reason.PROTOCOL_ERROR)


def test_a_topic_alias_stands_for_the_topic_that_set_it() -> None:
    session = connected()
    alias = Properties(topic_alias=4)
    data = encode(Publish("a/b", b"1", properties=alias), 5) + encode(Publish("", b"2", properties=alias), 5)
    packets = drive(session, data)
    assert [(p.topic, p.payload) for p in packets if isinstance(p, Publish)] == [("a/b", b"1"), ("a/b", b"2")]
    fails_with(session, Publish("", b"", properties=Properties(topic_alias=3)), Reason.PROTOCOL_ERROR)
    fails_with(
        connected(), Publish("a", b"", properties=Properties(topic_alias=5)), Reason.TOPIC_ALIAS_INVALID
    )


def test_more_unacknowledged_messages_than_receive_maximum_end_an_mqtt_5_session() -> None:
    session = connected()
    assert [session.hold(n) for n in (1, 2, 3, 4)] == [True, True, True, False]
    assert reason_of(last_words(session)) == Reason.RECEIVE_MAXIMUM_EXCEEDED


def test_a_packet_id_is_free_again_when_it_is_acknowledged() -> None:
    session = connected()
    assert session.hold(1)
    session.acknowledge(1)
    assert session.hold(1)
    assert not session.hold(1)
    assert reason_of(last_words(session)) == Reason.PROTOCOL_ERROR


def test_both_sides_may_use_the_same_packet_id() -> None:
    session = connected()
    session.deliver(message("a", b"", 1, retain=False), 1, 0.0, retain=False)
    assert set(session.inflight) == {1}
    assert drive(session, encode(Publish("b", b"", 1, packet_id=1), 5))
    assert session.error is None
    assert [type(packet) for packet in said(session)] == [Publish, Puback]


def test_a_refusal_carries_reason_and_text_to_mqtt_5_alone() -> None:
    session = connected()
    session.acknowledge(7, Reason.QUOTA_EXCEEDED, "full")
    assert said(session) == [Puback(7, 0x97, Properties(reason_string="full"))]
    quiet = connected(properties=Properties(request_problem_information=0))
    quiet.acknowledge(7, Reason.QUOTA_EXCEEDED, "full")
    assert said(quiet) == [Puback(7, 0x97)]
    small = connected(properties=Properties(maximum_packet_size=8))
    small.acknowledge(7, Reason.QUOTA_EXCEEDED, "a long story")
    assert said(small) == [Puback(7, 0x97)]
    old = connected(4)
    old.acknowledge(7, Reason.QUOTA_EXCEEDED, "full")
    assert said(old) == [Puback(7)]


def test_no_packet_is_larger_than_the_client_takes() -> None:
    session = connected(properties=Properties(maximum_packet_size=32))
    small, large = message("a", b"x" * 10, 1, retain=False), message("a", b"x" * 30, 1, retain=False)
    assert session.deliver(small, 0, 0.0, retain=False)
    assert not session.deliver(large, 0, 0.0, retain=False)
    assert session.deliver(small, 1, 0.0, retain=False)
    assert not session.deliver(large, 1, 0.0, retain=False)
    assert session.counters == {"dropped_too_large": 2}
    session.fail(Reason.UNSPECIFIED_ERROR, "a long story that does not fit into thirty-two bytes")
    assert last_words(session) == Disconnect(Reason.UNSPECIFIED_ERROR)


def test_a_client_that_takes_no_connack_is_refused_in_as_many_bytes_as_it_takes() -> None:
    for size, words in ((15, [Connack(reason=Reason.PACKET_TOO_LARGE)]), (4, [])):
        session = ServerSession(0.0, LIMITS)
        drive(session, encode(Connect("a", 5, properties=Properties(maximum_packet_size=size)), 5))
        assert session.closed
        assert not session.accepted
        assert said(session) == words


def test_a_suback_larger_than_the_client_takes_ends_the_session() -> None:
    session = connected(properties=Properties(maximum_packet_size=32))
    drive(session, encode(Subscribe(1, tuple(Subscription(f"f/{n}") for n in range(40))), 5))
    assert last_words(session) == Disconnect(Reason.PACKET_TOO_LARGE)


def test_the_clients_receive_maximum_is_kept_and_what_waits_goes_in_order() -> None:
    session = connected(properties=Properties(receive_maximum=2))
    for n in range(4):
        assert session.deliver(message("a", b"%d" % n, 1, retain=False), 1, 0.0, retain=False)
    first = [packet for packet in said(session) if isinstance(packet, Publish)]
    assert [packet.payload for packet in first] == [b"0", b"1"]
    assert not session.send_numbered(b"\0\x01a", b"9")
    drive(session, encode(Puback(first[1].packet_id), 5))
    second = [packet for packet in said(session) if isinstance(packet, Publish)]
    assert [packet.payload for packet in second] == [b"2"]
    drive(session, encode(Puback(999), 5))
    assert session.counters == {"unexpected_pubacks": 1}
    assert session.error is None


def test_a_message_that_expires_while_it_waits_is_not_sent() -> None:
    session = connected(properties=Properties(receive_maximum=1))
    fresh, stale = message("a", b"fresh", 1, retain=False), message("a", b"stale", 1, retain=False)
    fresh.expires_at, stale.expires_at = 100.0, 5.0
    session.deliver(message("a", b"", 1, retain=False), 1, 0.0, retain=False)
    session.deliver(stale, 1, 0.0, retain=False)
    session.deliver(fresh, 1, 0.0, retain=False)
    session.data_to_send()
    drive(session, encode(Puback(1), 5), now=40.0)
    assert said(session) == [Publish("a", b"fresh", 1, packet_id=2, properties=Properties(message_expiry=60))]
    assert session.counters == {"expired": 1}


def test_a_slow_reader_loses_qos_0_and_is_told_to_go_at_qos_1() -> None:
    session = connected()
    big = message("a", b"x" * 600, 1, retain=False)
    assert [session.deliver(big, 0, 0.0, retain=False) for _ in range(4)] == [True, True, True, False]
    assert session.counters == {"dropped_slow_reader": 1}
    assert session.error is None
    session.deliver(big, 1, 0.0, retain=False)
    assert session.error is not None
    assert session.error.reason is Reason.QUOTA_EXCEEDED


def test_a_client_that_never_acknowledges_is_told_to_go() -> None:
    session = connected(properties=Properties(receive_maximum=1))
    big = message("a", b"x" * 600, 1, retain=False)
    sent = 0
    while session.deliver(big, 1, 0.0, retain=False):
        sent += 1
        session.data_to_send()
    assert sent == 4  # one on its way and three in the queue of 2000 bytes
    assert reason_of(last_words(session)) == Reason.QUOTA_EXCEEDED


def test_a_client_that_asks_and_never_reads_is_told_to_go() -> None:
    session = connected()
    drive(session, b"\xc0\x00" * 3000)
    assert session.error is not None
    assert session.error.reason is Reason.QUOTA_EXCEEDED


def test_a_silent_device_is_dropped_at_one_and_a_half_keep_alives() -> None:
    session = ServerSession(100.0)
    assert session.deadline == 110.0
    drive(session, encode(Connect("c", 5, keep_alive=60), 5), now=101.0)
    assert session.deadline == 191.0
    drive(session, b"\xc0", now=150.0)
    assert session.deadline == 191.0, "half a packet is no sign of life"
    drive(session, b"\x00", now=151.0)
    assert session.deadline == 241.0
    assert not session.is_late(240.9)
    assert session.is_late(241.0)
    assert reason_of(last_words(session)) == Reason.KEEP_ALIVE_TIMEOUT


def test_keep_alive_0_is_never_late() -> None:
    session = connected()
    assert session.deadline is None
    assert not session.is_late(1e9)


def test_a_fault_before_connack_is_refused_in_words_that_connack_has() -> None:
    session = ServerSession(0.0, LIMITS)
    connect, wrong = Connect("d", version=5), Subscribe(1, (Subscription("a+#"),))
    session.receive_data(encode(connect, 5) + encode(wrong, 5), 0.0)
    answer = last_words(session)
    assert isinstance(answer, Connack)
    assert answer.reason == Reason.PROTOCOL_ERROR
    assert answer.properties is not None
    assert "wildcard" in (answer.properties.reason_string or "")


def test_a_goodbye_ends_the_stream() -> None:
    session = connected()
    packets = drive(session, encode(Disconnect(4), 5) + encode(Publish("a", b""), 5))
    assert packets == [Disconnect(4)]
    assert session.ended
    assert session.goodbye_reason == 4
    assert session.error is None
    assert drive(session, encode(Publish("a", b""), 5)) == []


def test_a_goodbye_may_not_ask_for_a_longer_session_than_connect_did() -> None:
    fails_with(connected(), Disconnect(0, Properties(session_expiry=5)), Reason.PROTOCOL_ERROR)


def test_the_goodbye_follows_the_answers_to_what_came_before() -> None:
    session = connected()
    drive(session, encode(Publish("a", b"", 1, packet_id=9), 5) + b"\x00\x00")
    assert [type(packet) for packet in said(session)] == [Puback, Disconnect]
    assert session.data_to_send() == b""


def test_the_first_failure_stands_and_nothing_is_sent_after_it() -> None:
    session = connected()
    session.fail(Reason.SESSION_TAKEN_OVER, "first")
    session.fail(Reason.SERVER_SHUTTING_DOWN, "second")
    assert not session.deliver(message("a", b"", 0, retain=False), 0, 0.0, retain=False)
    assert not session.send_plain(b"x")
    assert not session.send_numbered(b"\0\x01a", b"")
    assert last_words(session) == Disconnect(0x8E, Properties(reason_string="first"))


def test_3_1_1_gets_0x80_for_every_refused_filter() -> None:
    session = connected(4)
    packet = Subscribe(5, (Subscription("a"), Subscription("b")))
    session.granted(packet, (1, Reason.QUOTA_EXCEEDED))
    assert said(session) == [Suback(5, (1, 0x80))]


def test_properties_of_a_message_go_on_and_those_of_its_hop_do_not() -> None:
    found = Properties(
        payload_format=1,
        content_type="t",
        response_topic="r",
        correlation_data=b"c",
        topic_alias=1,
        user=(("k", "v"),),
    )
    session = connected()
    session.deliver(message("a", b"x", 1, retain=False, properties=found), 0, 0.0, retain=True)
    kept = Properties(
        payload_format=1, content_type="t", response_topic="r", correlation_data=b"c", user=(("k", "v"),)
    )
    assert said(session) == [Publish("a", b"x", retain=True, properties=kept)]
    old = connected(4)
    old.deliver(message("a", b"x", 1, retain=False, properties=found), 1, 0.0, retain=False)
    assert said(old) == [Publish("a", b"x", 1, packet_id=1)]
