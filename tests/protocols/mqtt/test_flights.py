"""QoS 2 and what a session keeps from one connection to the next, without I/O."""

import pytest

from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Reason,
    ServerSession,
    SessionLimits,
    encode,
)
from rimward.protocols.mqtt.flights import Flight, Flights
from rimward.protocols.mqtt.outgoing import message
from rimward.protocols.mqtt.sending import PIECE
from rimward.protocols.mqtt.session import PENDING

LIMITS = SessionLimits(receive_maximum=3, max_session_expiry=600, session_expiry_3=60)
LASTING = Properties(session_expiry=100)


def said(session: ServerSession) -> list[Packet]:
    decoder = Decoder(1 << 20, version=session.version)
    packets = decoder.feed(session.data_to_send())
    assert decoder.error is None
    return packets


def opened(
    flights: Flights | None = None, version: int = 5, properties: Properties | None = LASTING
) -> ServerSession:
    """Connect a client, to the session that it left `flights` of, and drop the CONNACK."""
    session = ServerSession(0.0, LIMITS)
    connect = Connect("c", version, clean_start=False, properties=properties if version == 5 else None)
    session.receive_data(encode(connect, version), 0.0)
    session.accept("", flights, present=flights is not None)
    assert isinstance(said(session)[0], Connack)
    return session


def again(flights: Flights, version: int = 5, properties: Properties | None = LASTING) -> ServerSession:
    """Let the connection break and the client come back."""
    flights.ground()
    session = opened(flights, version, properties)
    session.resume(0.0)
    return session


def flight(flights: Flights, payload: bytes, qos: int, seq: int = 0) -> Flight:
    one = Flight(message("t", payload, qos, retain=False), qos, retain=False)
    one.seq = seq
    flights.number(one)
    return one


def hear(session: ServerSession, packet: Packet) -> Packet:
    (taken,) = session.receive_data(encode(packet, session.version), 0.0)
    return taken


# -- to the client


@pytest.mark.parametrize("version", [4, 5])
def test_a_message_at_qos_2_goes_out_by_four_packets_and_its_id_is_free_again(version: int) -> None:
    session = opened(None, version)
    assert session.deliver(message("t", b"x", 2, retain=False), 2, 0.0, retain=False)
    assert said(session) == [Publish("t", b"x", 2, packet_id=1)]
    assert session.received(Pubrec(1), 0.0) is None
    assert said(session) == [Pubrel(1)]
    assert session.received(Pubrec(1), 0.0) is None, "a PUBREC that comes twice is answered twice"
    assert said(session) == [Pubrel(1)]
    session.completed(Pubcomp(1), 0.0)
    assert session.inflight == {}
    assert session.counters == {}


def test_the_clients_window_counts_both_qos_until_their_last_answer() -> None:
    session = opened(properties=Properties(receive_maximum=2))
    for n in range(4):
        session.deliver(message("t", b"%d" % n, 2, retain=False), 1 + n % 2, 0.0, retain=False)
    assert [p.payload for p in said(session) if isinstance(p, Publish)] == [b"0", b"1"]
    session.received(Pubrec(2), 0.0)
    assert said(session) == [Pubrel(2)], "a PUBREC opens no room"
    session.completed(Pubcomp(2), 0.0)
    assert [p.payload for p in said(session) if isinstance(p, Publish)] == [b"2"]
    session.confirmed(Puback(1), 0.0)
    assert [p.payload for p in said(session) if isinstance(p, Publish)] == [b"3"]


def test_a_pubrec_that_refuses_ends_the_flow() -> None:
    session = opened()
    session.deliver(message("t", b"x", 2, retain=False), 2, 0.0, retain=False)
    said(session)
    session.received(Pubrec(1, Reason.UNSPECIFIED_ERROR), 0.0)
    assert said(session) == []
    assert session.inflight == {}
    assert session.counters == {"refused_by_client": 1}


def test_answers_to_unknown_ids_are_counted_and_a_pubrec_is_answered() -> None:
    for version, reason in ((4, 0), (5, Reason.PACKET_IDENTIFIER_NOT_FOUND)):
        session = opened(None, version)
        session.confirmed(Puback(7), 0.0)
        session.completed(Pubcomp(7), 0.0)
        assert session.received(Pubrec(7), 0.0) is None
        assert said(session) == [Pubrel(7, reason)]
        assert session.counters == {
            "unexpected_pubacks": 1, "unexpected_pubcomps": 1, "unexpected_pubrecs": 1,
        }  # fmt: skip


def test_an_answer_of_the_wrong_qos_settles_nothing() -> None:
    session = opened()
    session.deliver(message("t", b"x", 1, retain=False), 1, 0.0, retain=False)
    session.deliver(message("t", b"x", 2, retain=False), 2, 0.0, retain=False)
    said(session)
    session.confirmed(Puback(2), 0.0)
    session.received(Pubrec(1), 0.0)
    session.completed(Pubcomp(2), 0.0)
    assert set(session.inflight) == {1, 2}


# -- over connections


def test_what_was_not_acknowledged_is_sent_again_in_order_with_its_id_and_marked() -> None:
    flights = Flights()
    session = opened(flights)
    for n, qos in enumerate((1, 2, 2, 1)):
        session.take(flight(flights, b"%d" % n, qos), 0.0)
    first = [packet for packet in said(session) if isinstance(packet, Publish)]
    session.received(Pubrec(3), 0.0)
    session.received(Pubrec(2), 0.0)
    session.confirmed(Puback(1), 0.0)
    back = again(flights)
    assert said(back) == [
        Pubrel(3),
        Pubrel(2),
        Publish("t", b"3", 1, packet_id=first[3].packet_id, dup=True),
    ], "PUBRELs in the order of their PUBRECs; no PUBLISH of theirs"
    back.completed(Pubcomp(3), 0.0)
    back.completed(Pubcomp(2), 0.0)
    back.confirmed(Puback(4), 0.0)
    assert (flights.count, flights.size) == (0, 0)


def test_a_smaller_window_on_the_next_connection_is_kept_to() -> None:
    flights = Flights()
    session = opened(flights)
    for n in range(4):
        session.take(flight(flights, b"%d" % n, 1), 0.0)
    said(session)
    back = again(flights, properties=Properties(session_expiry=100, receive_maximum=1))
    assert [p.payload for p in said(back) if isinstance(p, Publish)] == [b"0"]
    back.confirmed(Puback(3), 0.0)  # of the connection before: the client has it
    back.confirmed(Puback(1), 0.0)
    assert [(p.payload, p.dup) for p in said(back) if isinstance(p, Publish)] == [(b"1", True)]
    back.confirmed(Puback(2), 0.0)
    assert [p.payload for p in said(back) if isinstance(p, Publish)] == [b"3"]
    assert back.counters == {}


def test_a_late_pubrec_of_the_connection_before_is_taken() -> None:
    flights = Flights()
    session = opened(flights)
    for n in range(2):
        session.take(flight(flights, b"%d" % n, 2), 0.0)
    said(session)
    back = again(flights, properties=Properties(session_expiry=100, receive_maximum=1))
    said(back)
    assert back.received(Pubrec(2), 0.0) is None
    assert said(back) == [Pubrel(2)]


def test_what_waits_is_marked_only_if_it_was_sent() -> None:
    flights = Flights()
    session = opened(flights, properties=Properties(session_expiry=100, receive_maximum=1))
    for n in range(2):
        session.take(flight(flights, b"%d" % n, 1), 0.0)
    said(session)
    back = again(flights)
    assert [(p.payload, p.dup) for p in said(back) if isinstance(p, Publish)] == [(b"0", True), (b"1", False)]


def test_messages_that_expire_while_they_wait_are_dropped_and_those_in_flight_are_not() -> None:
    flights = Flights()
    session = opened(flights, properties=Properties(session_expiry=100, receive_maximum=1))
    for n in range(2):
        one = flight(flights, b"%d" % n, 1, seq=n + 1)
        one.message.expires_at = 10.0
        session.take(one, 0.0)
    said(session)
    flights.ground()
    back = opened(flights)
    back.resume(11.0)
    assert [p.payload for p in said(back) if isinstance(p, Publish)] == [b"0"]
    assert [one.seq for one in back.settled] == [2], "the disk may forget it"
    assert back.counters == {"expired": 1}


def test_a_message_on_disk_is_released_there_before_its_pubrel() -> None:
    flights = Flights()
    session = opened(flights)
    session.take(flight(flights, b"x", 2, seq=1), 0.0)
    said(session)
    waiting = session.received(Pubrec(1), 0.0)
    assert waiting is not None
    assert said(session) == []
    session.release(waiting.packet_id)
    assert said(session) == [Pubrel(1)]
    session.completed(Pubcomp(1), 0.0)
    assert session.settled == [waiting]


def test_what_was_kept_is_restored_in_order_and_new_ids_are_free_ones() -> None:
    kept = Flights()
    for n in range(3):
        flight(kept, b"%d" % n, 2, seq=n + 1)
    before = list(kept.numbered.values())
    before[0].released = True
    flights = Flights()
    flights.restore(before, {7: 0})
    back = opened(flights)
    back.resume(0.0)
    assert said(back) == [Pubrel(1), *[Publish("t", b"%d" % n, 2, packet_id=n + 1) for n in (1, 2)]]
    assert flight(flights, b"new", 1).packet_id == 4
    assert back.taken == {7: 0}


def test_a_queue_is_sent_a_piece_at_a_time() -> None:
    flights = Flights()
    for _ in range(8):
        flights.waiting.append(flight(flights, bytes(PIECE // 2), 1))
    session = opened(flights)
    session.resume(0.0)
    sizes: list[int] = []
    while packets := [packet for packet in said(session) if isinstance(packet, Publish)]:
        sizes.append(len(packets))
        for packet in packets:
            session.confirmed(Puback(packet.packet_id), 0.0)
    assert sum(sizes) == 8
    assert max(sizes) <= 3


def test_the_oldest_that_was_never_sent_makes_room() -> None:
    flights = Flights()
    session = opened(flights, properties=Properties(session_expiry=100, receive_maximum=1))
    for n in range(3):
        session.take(flight(flights, b"%d" % n, 1), 0.0)
    flights.ground()
    assert [one.message.payload for one in (flights.oldest(), flights.oldest()) if one] == [b"1", b"2"]
    assert flights.oldest() is None, "what the client may have is not dropped"
    assert flights.count == 1


# -- from the client


@pytest.mark.parametrize("version", [4, 5])
def test_a_message_at_qos_2_is_taken_once_until_its_pubcomp(version: int) -> None:
    session = opened(None, version)
    for _ in range(2):
        taken = hear(session, Publish("t", b"x", 2, packet_id=9))
        assert isinstance(taken, Publish)
        assert session.repeated(9) is None
        assert session.hold(9, 2)
        assert session.repeated(9) == PENDING
        assert said(session) == [], "the first one's answer serves both"
        session.record(9)
        assert session.repeated(9) == 0
        assert said(session) == [Pubrec(9), Pubrec(9)]
        session.complete(9)
        assert said(session) == [Pubcomp(9)]


def test_a_refused_message_leaves_its_id_free() -> None:
    session = opened()
    assert session.hold(9, 2)
    session.record(9, Reason.PAYLOAD_FORMAT_INVALID, "no")
    assert said(session) == [Pubrec(9, 0x99, Properties(reason_string="no"))]
    assert session.repeated(9) is None
    old = opened(None, 4)
    assert old.hold(9, 2)
    old.record(9, Reason.PAYLOAD_FORMAT_INVALID, "no")
    assert said(old) == [Pubrec(9)], "MQTT 3.1.1 has no words for it"
    assert old.repeated(9) == 0


def test_receive_maximum_counts_both_qos_and_begins_anew_with_each_connection() -> None:
    session = opened(flights := Flights())
    assert [session.hold(1, 1), session.hold(2, 2), session.hold(3, 2)] == [True] * 3
    session.record(2)
    session.acknowledge(1)
    assert session.hold(4, 1)
    assert not session.hold(5, 1)
    assert session.error is not None
    assert session.error.reason is Reason.RECEIVE_MAXIMUM_EXCEEDED
    back = again(flights)
    said(back)
    assert [back.hold(n, 2) for n in (5, 6, 7)] == [True] * 3, "what was sent before does not count"
    assert not back.hold(8, 2)


def test_what_is_never_released_is_bounded() -> None:
    session = opened(None, 4)
    ids = iter(range(1, 100))
    while session.hold(next(ids), 2):
        pass
    assert len(session.taken) == 24
    assert session.error is not None
    assert session.error.reason is Reason.QUOTA_EXCEEDED


# -- how long a session is


def test_the_expiry_is_bounded_and_said_where_it_is_not_the_one_asked_for() -> None:
    for asked, granted, told in ((100, 100, None), (601, 600, 600), (0, 0, None)):
        session = ServerSession(0.0, LIMITS)
        session.receive_data(encode(Connect("c", 5, properties=Properties(session_expiry=asked)), 5), 0.0)
        session.accept()
        (connack,) = said(session)
        assert isinstance(connack, Connack)
        assert connack.properties is not None
        assert (session.expiry, connack.properties.session_expiry) == (granted, told)


def test_mqtt_3_sessions_last_as_long_as_the_server_says() -> None:
    assert opened(None, 4).expiry == 60
    clean = ServerSession(0.0, LIMITS)
    clean.receive_data(encode(Connect("c", 4), 4), 0.0)
    assert clean.expiry == 0


def test_a_goodbye_changes_the_expiry() -> None:
    session = opened()
    hear(session, Disconnect(0, Properties(session_expiry=7)))
    assert session.expiry == 7
    short = opened(properties=None)
    hear(short, Disconnect(0, Properties(session_expiry=0)))
    assert short.error is None


def test_the_size_of_all_messages_is_known() -> None:
    flights = Flights()
    one = flight(flights, b"x" * 100, 1)
    assert flights.size == one.message.size
    assert flights.holds(one)
    flights.drop(one)
    assert (flights.size, flights.holds(one)) == (0, False)
    many = [flight(flights, b"x", 1) for _ in range(3)]
    assert flights.clear() == many
    assert (flights.size, flights.count) == (0, 0)
