"""CoAP over streams: CSM first, signals answered, and goodbyes with their reason."""

import pytest

from rimward.protocols.coap import SECOND, Message, StreamSession
from rimward.protocols.coap.codes import ABORT, CONTENT, CSM, GET, PING, PONG, RELEASE
from rimward.protocols.coap.messages import FrameDecoder, frame

HELLO = frame(Message(CSM))


def session() -> StreamSession:
    made = StreamSession(2000, 10, 0)
    heard(made)
    return made


def heard(session: StreamSession) -> list[Message]:
    return FrameDecoder(1 << 20).feed(session.data_to_send())


def test_the_first_thing_said_is_what_is_taken() -> None:
    [csm] = heard(StreamSession(2000, 10, 0))
    assert (csm.code, csm.options) == (CSM, [(2, b"\x07\xd0"), (4, b"")])


def test_requests_come_after_the_peers_csm() -> None:
    one = session()
    assert one.receive_data(HELLO) == []
    [request] = one.receive_data(frame(Message(GET, b"t")))
    assert request.token == b"t"
    one.send(Message(CONTENT, b"t", [], b"21 C"))
    assert [message.payload for message in heard(one)] == [b"21 C"]


def test_what_the_peer_takes_is_kept_and_may_change() -> None:
    one = session()
    one.receive_data(HELLO)
    assert (one.peer_size, one.bert) == (1152, False)
    one.receive_data(frame(Message(CSM, options=[(2, b"\x10\x00"), (4, b"")])))
    assert (one.peer_size, one.bert) == (4096, True)


def test_a_ping_is_answered_with_its_token_and_custody() -> None:
    one = session()
    one.receive_data(HELLO + frame(Message(PING, b"p", [(2, b"")])))
    [pong] = heard(one)
    assert (pong.code, pong.token, pong.options) == (PONG, b"p", [(2, b"")])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (frame(Message(GET)), "not a CSM"),
        (frame(Message(PING)), "not a CSM"),
        (frame(Message(CSM, options=[(1, b"")])), "option 1"),
        (HELLO + frame(Message(PING, options=[(3, b"")])), "option 3"),
        (HELLO + b"\xf0\xff\xff\xff\xff\x01", "larger than"),
        (HELLO + b"\x09\x01", "token"),
        (HELLO + b"\x10\x01\xff", "marker"),
    ],
)
def test_who_breaks_a_rule_is_told_which_and_nothing_more_is_read(data: bytes, why: str) -> None:
    one = session()
    assert one.receive_data(data) == []
    [abort] = heard(one)
    assert abort.code == ABORT
    assert why in abort.payload.decode()
    assert one.closing
    assert one.receive_data(frame(Message(GET))) == []


def test_a_bad_option_of_a_csm_is_named() -> None:
    one = session()
    one.receive_data(frame(Message(CSM, options=[(5, b"")])))
    assert heard(one)[0].options == [(2, b"\5")]


def test_responses_and_empty_messages_are_passed_over() -> None:
    one = session()
    assert one.receive_data(HELLO + b"\x00\x00" + frame(Message(CONTENT))) == []
    assert heard(one) == []


def test_a_peer_that_releases_asks_nothing_more_and_one_that_aborts_is_gone() -> None:
    one = session()
    one.receive_data(HELLO + frame(Message(RELEASE)))
    assert (one.released, one.closing) == (True, False)
    one.receive_data(frame(Message(ABORT)))
    assert one.closing


def test_a_release_is_said_once() -> None:
    one = session()
    one.receive_data(HELLO)
    one.release()
    one.release()
    assert [message.code for message in heard(one)] == [RELEASE]


def test_a_peer_that_does_not_say_hello_is_cut_off_in_time() -> None:
    silent, polite = session(), session()
    polite.receive_data(HELLO)
    for one in (silent, polite):
        one.expire(10 * SECOND - 1)
        assert not one.closing
        one.expire(10 * SECOND)
    assert (silent.closing, polite.closing) == (True, False)
    assert polite.deadline is None
