"""The message layer with time in the test's hand: loss, duplicates, reordering and floods."""

import pytest

from rimward.protocols.coap import SECOND, Bounds, Message, Timing
from rimward.protocols.coap.codes import ACK, CON, CONTENT, NON, RST

from .bench import ALICE, BOB, Bench, ask, shape


def test_a_quick_answer_rides_on_the_acknowledgement() -> None:
    bench = Bench()
    bench.respond(bench.request(7))
    [answer] = bench.heard()
    assert (answer.type, answer.code, answer.mid, answer.token, answer.payload) == (
        ACK, CONTENT, 7, b"t", b"21 C",
    )  # fmt: skip


def test_a_slow_answer_is_acknowledged_first_and_comes_by_itself() -> None:
    bench = Bench()
    exchange = bench.request(7)
    bench.hold(exchange)
    bench.pass_time(0.49)
    assert bench.heard() == []
    bench.pass_time(0.01)
    [acknowledgement] = bench.heard()
    assert (acknowledgement.type, acknowledgement.code, acknowledgement.mid) == (ACK, 0, 7)
    bench.respond(exchange)
    [answer] = bench.heard()
    assert (answer.type, answer.code, answer.token, answer.mid) == (CON, CONTENT, b"t", 100)
    bench.answer(answer.mid)
    bench.pass_time(300)
    assert bench.heard() == []


def test_a_separate_answer_is_sent_again_at_doubling_times_until_it_is_given_up() -> None:
    bench = Bench()
    exchange = bench.request(7)
    bench.hold(exchange)
    bench.pass_time(0.5)
    bench.respond(exchange)
    assert shape(bench.heard()) == [("ACK", 0), ("CON", CONTENT)]
    for wait in (2, 4, 8, 16):
        bench.pass_time(wait - 0.001)
        assert bench.heard() == []
        bench.pass_time(0.001)
        assert shape(bench.heard()) == [("CON", CONTENT)]
    bench.pass_time(1000)
    assert bench.heard() == []
    assert bench.endpoint.sending.counters == {"retransmissions": 4, "unanswered": 1, "unsent": 0}


@pytest.mark.parametrize("kind", [ACK, RST])
def test_whoever_acknowledges_or_resets_hears_it_no_more(kind: int) -> None:
    bench = Bench()
    bench.endpoint.sending.confirmable(ALICE, Message(CONTENT, b"x"), bench.now)
    bench.collect()
    [sent] = bench.heard()
    bench.answer(sent.mid, kind, BOB)  # another's word does not count
    bench.pass_time(2)
    assert len(bench.heard()) == 1
    bench.answer(sent.mid, kind)
    bench.pass_time(100)
    assert bench.heard() == []
    assert bench.endpoint.counters["stray"] == 1


def test_a_lost_acknowledgement_is_sent_again_and_the_request_is_not_worked_on_twice() -> None:
    bench = Bench()
    bench.respond(bench.request(7))
    [first] = bench.heard()
    for _ in range(4):
        assert bench.request(7) is None
    assert bench.heard() == [first] * 4
    assert bench.endpoint.counters["duplicates"] == 4
    assert bench.endpoint.counters["requests"] == 1


def test_a_duplicate_before_the_answer_is_passed_over_and_after_the_acknowledgement_acknowledged() -> None:
    bench = Bench()
    bench.hold(bench.request(7))
    assert bench.request(7) is None
    assert bench.heard() == []
    bench.pass_time(0.5)
    assert bench.request(7) is None
    assert shape(bench.heard()) == [("ACK", 0), ("ACK", 0)]


def test_a_duplicate_of_a_message_that_asks_for_no_acknowledgement_is_silent() -> None:
    bench = Bench()
    bench.respond(bench.request(7, kind=NON))
    assert shape(bench.heard()) == [("NON", CONTENT)]
    assert bench.request(7, kind=NON) is None
    assert bench.heard() == []


def test_two_peers_may_use_the_same_message_id() -> None:
    bench = Bench()
    assert bench.request(7) is not None
    assert bench.request(7, BOB) is not None


def test_a_device_that_starts_anew_and_counts_from_zero_is_not_answered_with_its_past() -> None:
    bench = Bench()
    bench.respond(bench.request(0, payload=b"before"), b"old")
    bench.respond(bench.request(0, payload=b"after"), b"new")
    assert [message.payload for message in bench.heard()] == [b"old", b"new"]


def test_another_request_under_the_id_of_one_that_is_worked_on_is_passed_over() -> None:
    bench = Bench()
    first = bench.request(0, payload=b"a")
    assert bench.request(0, payload=b"b") is None
    bench.respond(first)
    assert len(bench.heard()) == 1


def test_after_its_lifetime_a_message_id_is_a_new_request() -> None:
    bench = Bench()
    lifetime = Timing().exchange_lifetime
    assert lifetime == 247
    bench.respond(bench.request(7))
    bench.pass_time(lifetime - 0.001)
    assert bench.request(7) is None
    bench.pass_time(0.001)
    assert bench.request(7) is not None


def test_what_is_over_is_forgotten() -> None:
    bench = Bench()
    for mid in range(100):
        bench.respond(bench.request(mid))
    assert bench.endpoint.remembered == 100
    bench.pass_time(247)
    bench.endpoint.forget(bench.now)
    assert bench.endpoint.remembered == 0
    assert bench.endpoint.counters["forgotten_early"] == 0


def test_one_peer_that_floods_pushes_out_its_own_and_nobody_elses() -> None:
    bench = Bench(bounds=Bounds(exchanges=50, exchanges_of_peer=10))
    bench.respond(bench.request(1, BOB))
    for mid in range(1000):
        bench.respond(bench.request(mid))
    assert bench.endpoint.remembered == 11
    assert bench.endpoint.counters["forgotten_early"] == 990
    assert bench.request(1, BOB) is None


def test_many_peers_that_flood_are_bounded_in_count_and_in_bytes() -> None:
    bench = Bench(bounds=Bounds(exchanges=50, exchange_bytes=1000))
    for port in range(1000):
        bench.respond(bench.request(1, ("198.51.100.9", port)), b"x" * 90)
    assert bench.endpoint.remembered <= 12
    assert len(bench.endpoint._of_peer) == bench.endpoint.remembered


def test_what_is_not_answered_is_never_forgotten_and_its_peer_is_told_apart() -> None:
    bench = Bench(bounds=Bounds(exchanges=4, exchanges_of_peer=4, pending_of_peer=3))
    waiting = [bench.request(mid) for mid in range(4)]
    assert bench.endpoint.crowded(ALICE)
    assert not bench.endpoint.crowded(BOB)
    for port in range(20):
        bench.respond(bench.request(1, ("198.51.100.9", port)))
    bench.heard()
    for exchange in waiting:
        bench.respond(exchange)
    assert [message.mid for message in bench.heard()] == [0, 1, 2, 3]
    assert bench.endpoint.pending == 0
    assert not bench.endpoint.crowded(ALICE)


def test_one_confirmable_message_a_peer_is_under_way_and_the_others_wait_for_their_turn() -> None:
    bench = Bench(bounds=Bounds(queued_of_peer=2))
    sending = bench.endpoint.sending
    taken = [sending.confirmable(ALICE, Message(CONTENT, bytes((n,))), bench.now) for n in range(4)]
    assert taken == [True, True, True, False]
    assert sending.confirmable(BOB, Message(CONTENT, b"b"), bench.now)
    bench.collect()
    first, others = bench.heard()
    assert (first.token, others.token) == (b"\0", b"b")
    bench.answer(first.mid)
    [second] = bench.heard()
    assert second.token == b"\1"
    bench.pass_time(93)  # nobody answers: what still waits is not sent
    assert {message.token for message in bench.heard()} == {b"\1", b"b"}
    assert len(sending) == 0
    assert sending.counters["unsent"] == 2
    assert bench.endpoint.deadline is None


def test_message_ids_go_up_for_each_peer_by_itself() -> None:
    bench = Bench()
    for _ in range(3):
        bench.endpoint.sending.once(ALICE, Message(CONTENT))
        bench.endpoint.sending.once(BOB, Message(CONTENT))
    bench.collect()
    assert [message.mid for message in bench.heard()] == [100, 100, 101, 101, 102, 102]


def test_the_fate_of_a_tagged_message_is_told_once() -> None:
    bench, fates = Bench(), list[tuple[str, str]]()
    sending = bench.endpoint.sending
    sending.settled = lambda tag, fate: fates.append((tag, fate))
    sending.confirmable(ALICE, Message(CONTENT), bench.now, "taken")
    sending.once(ALICE, Message(CONTENT), "unwanted")
    sending.confirmable(BOB, Message(CONTENT), bench.now, "lost")
    bench.collect()
    taken, unwanted, _ = bench.heard()
    for _ in range(2):
        bench.answer(unwanted.mid, RST)
        bench.answer(taken.mid)
    bench.pass_time(93)
    assert fates == [("unwanted", "reset"), ("taken", "acknowledged"), ("lost", "unanswered")]


def test_a_ping_is_answered_with_a_reset() -> None:
    bench = Bench()
    bench.receive(b"\x40\x00\x12\x34")
    [pong] = bench.heard()
    assert (pong.type, pong.code, pong.mid) == (RST, 0, 0x1234)
    assert bench.endpoint.counters["pings"] == 1


@pytest.mark.parametrize(
    ("data", "reset"),
    [
        (b"", False),
        (b"\x40\x01\x00", False),
        (b"\x49\x01\x12\x34" + b"t" * 9, True),  # a token of nine bytes
        (b"\x44\x01\x12\x34tok", True),  # a token that is cut off
        (b"\x40\x20\x12\x34", True),  # code 1.00
        (b"\x40\xc0\x12\x34", True),  # code 6.00
        (b"\x40\x00\x12\x34\x00", True),  # an empty message that is not empty
        (b"\x40\x01\x12\x34\xff", True),  # a marker and no payload
        (b"\x40\x01\x12\x34\xf0", True),  # a reserved delta
        (b"\x40\x01\x12\x34\x0f", True),  # a reserved length
        (b"\x40\x01\x12\x34\xb5abc", True),  # an option that is cut off
        (b"\x40\x01\x12\x34\xe0\xff", True),
        (b"\x50\x01\x12\x34\xff", False),  # as above, and nobody waits for an acknowledgement
        (b"\x80\x01\x12\x34", False),  # another version is passed over
    ],
)
def test_what_is_no_message_is_reset_if_it_asks_for_an_acknowledgement(data: bytes, *, reset: bool) -> None:
    bench = Bench()
    assert bench.receive(data) is None
    assert shape(bench.heard()) == ([("RST", 0)] if reset else [])
    assert bench.endpoint.counters["malformed"] + bench.endpoint.counters["other_versions"] == 1


def test_a_response_that_nobody_has_asked_for_is_reset() -> None:
    bench = Bench()
    bench.receive(b"\x40\x45\x12\x34")
    bench.receive(b"\x50\x45\x12\x34")
    assert shape(bench.heard()) == [("RST", 0)]


def test_a_rejected_and_a_dropped_request_end_and_their_duplicates_are_told_the_same() -> None:
    bench = Bench()
    rejected, dropped = bench.request(1), bench.request(2)
    assert rejected is not None
    assert dropped is not None
    bench.endpoint.reject(rejected)
    bench.endpoint.drop(dropped)
    bench.request(1)
    bench.request(2)
    assert shape(bench.heard()) == [("RST", 0), ("ACK", 0), ("RST", 0), ("ACK", 0)]
    assert bench.endpoint.pending == 0


def test_retransmissions_are_spread_by_chance() -> None:
    bench = Bench()
    bench.endpoint.sending._chance = lambda: 1.0
    bench.endpoint.sending.confirmable(ALICE, Message(CONTENT), bench.now)
    assert bench.endpoint.deadline == bench.now + 3 * SECOND


def test_a_lossy_network_runs_each_request_once_and_answers_all() -> None:
    """Every second datagram is lost, each way, and each request is sent until its answer is there."""
    bench, ran, lost = Bench(), list[int](), 0
    for mid in range(50):
        answered = False
        while not answered:
            lost += 1
            if lost % 2:
                exchange = bench.receive(ask(mid))
                if exchange is not None:
                    ran.append(mid)
                    bench.respond(exchange)
                for message in bench.heard():
                    lost += 1
                    answered = answered or (message.mid == mid and bool(lost % 3))
            bench.pass_time(2)
    assert ran == list(range(50))
