"""A WebSocket's bytes: what is a message, what ends the connection and with which code [RFC 6455]."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.http import HttpError
from rimward.protocols.websocket import WebSocketSession, opening_of

from .frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close, frame

LIMIT = 300
KEY = {"sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


def play(data: bytes, cut: int = 1 << 20) -> tuple[list[tuple[bytes, bool]], bytes, WebSocketSession]:
    """Feed bytes in pieces; return messages, what is sent, and the session."""
    session, found, sent = WebSocketSession(LIMIT), list[tuple[bytes, bool]](), b""
    for at in range(0, len(data), cut):
        found += [(one.data, one.text) for one in session.receive_data(data[at : at + cut])]
        sent += session.data_to_send()
    return found, sent, session


def code_of(sent: bytes) -> int:
    """Return the code of the close frame that ends what was sent."""
    at = sent.rindex(b"\x88")
    return int.from_bytes(sent[at + 2 : at + 4], "big")


# -- the opening


def test_the_answer_proves_that_the_key_was_read() -> None:
    answer = opening_of(KEY).answer("mqtt", b"date: x\r\n")
    assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer  # of RFC 6455 §1.3
    assert b"sec-websocket-protocol: mqtt\r\ndate: x\r\n\r\n" in answer
    assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sec-websocket-version": "8"}, 426),
        ({"sec-websocket-key": "short"}, 400),
        ({"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"sec-websocket-key": ""}, 400),
        ({"sec-websocket-protocol": "a b"}, 400),
    ],
)
def test_an_opening_that_is_none_is_refused(change: dict[str, str], status: int) -> None:
    with pytest.raises(HttpError) as refused:
        opening_of(KEY | change)
    assert refused.value.status == status


def test_the_first_subprotocol_that_is_known_is_chosen() -> None:
    opening = opening_of(KEY | {"sec-websocket-protocol": "x, cbor ,json"})
    assert opening.choose(("json", "cbor")) == "cbor"
    assert opening.choose(("mqtt",)) is None


# -- messages


def test_a_message_is_whole_in_one_frame_or_in_fragments_with_control_frames_between() -> None:
    data = frame(TEXT, b"one") + frame(BINARY, b"\xff", fin=False) + frame(PING, b"p")
    data += frame(CONT, b"", fin=False) + frame(CONT, b"\x00") + frame(PONG, b"unasked")
    found, sent, session = play(data)
    assert found == [(b"one", True), (b"\xff\x00", False)]
    assert sent == b"\x8a\x01p"
    assert session.open


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(1, 60))
def test_cutting_the_bytes_anywhere_changes_nothing(parts: list[bytes], cut: int) -> None:
    data = b"".join(
        frame(BINARY if index == 0 else CONT, part, fin=index == len(parts) - 1)
        for index, part in enumerate(parts)
    ) + close(1000)
    found, sent, _ = play(data, cut)
    whole = play(data)
    assert (found, sent) == whole[:2]
    assert found == [(b"".join(parts), False)]


def test_a_character_may_be_cut_by_fragments() -> None:
    text = "κόσμε𐍈".encode()
    data = b"".join(
        frame(TEXT if at == 0 else CONT, text[at : at + 1], fin=at == len(text) - 1)
        for at in range(len(text))
    )
    assert play(data)[0] == [(text, True)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 255, 256, LIMIT])
def test_lengths_at_every_border_are_read_and_written(length: int) -> None:
    data = b"x" * length
    found, _, session = play(frame(BINARY, data))
    assert found == [(data, False)]
    session.send(data, text=False)
    sent = session.data_to_send()
    assert sent.endswith(data)
    assert len(sent) == length + (2 if length < 126 else 4)


# -- what breaks a rule


@pytest.mark.parametrize(
    "text", [b"\xce\xba\xe1\xbd", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"a\xff"]
)
def test_text_that_is_not_utf_8_ends_the_connection(text: bytes) -> None:
    for data in (frame(TEXT, text), frame(TEXT, text[:1], fin=False) + frame(CONT, text[1:])):
        found, sent, session = play(data + frame(TEXT, b"later"))
        assert (found, code_of(sent), session.over) == ([], 1007, True)
        assert session.failure is not None


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"x", masked=False),
        frame(TEXT, b"x", rsv=4),  # compressed, and that was not agreed
        frame(TEXT, b"x", rsv=2),
        frame(TEXT, b"x", rsv=1),
        frame(3, b"x"),
        frame(7),
        frame(11),
        frame(15),
        frame(PING, b"x" * 126),
        frame(PING, b"x", fin=False),
        frame(CLOSE, b"x" * 126),
        frame(CONT, b"x"),
        frame(CONT, b"x", fin=False),
        frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"),
        frame(CLOSE, b"\x03"),
        close(0),
        close(999),
        close(1004),
        close(1005),
        close(1006),
        close(1015),
        close(1016),
        close(2999),
        close(5000),
        b"\x82\xff\x80" + bytes(7) + b"mask",  # a length with its first bit set
    ],
)
def test_a_broken_rule_ends_the_connection_with_1002(data: bytes) -> None:
    found, sent, session = play(data)
    assert found == []
    assert session.over
    assert code_of(sent) in {1002, 1009}
    if data[:2] != b"\x82\xff":
        assert code_of(sent) == 1002


def test_what_came_before_a_broken_rule_is_still_a_message() -> None:
    found, sent, _ = play(frame(TEXT, b"good") + frame(3))
    assert (found, code_of(sent)) == ([(b"good", True)], 1002)


def test_a_close_reason_must_be_utf_8() -> None:
    assert code_of(play(close(1000, b"\xff"))[1]) == 1007


@pytest.mark.parametrize("fragments", [1, 2, 400])
def test_a_message_over_the_limit_ends_the_connection_before_it_is_whole(fragments: int) -> None:
    size = LIMIT // fragments + 1
    data = frame(TEXT, b"x" * size, fin=fragments == 1)
    data += frame(CONT, b"x" * size, fin=False) * (fragments - 1)
    found, sent, session = play(data)
    assert (found, code_of(sent), session.over) == ([], 1009, True)


def test_the_length_alone_is_enough_to_refuse() -> None:
    head = b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"mask"
    assert code_of(play(head)[1]) == 1009


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 4999])
def test_a_goodbye_is_answered_with_its_own_code(code: int) -> None:
    _, sent, session = play(close(code, b"bye") + frame(TEXT, b"later"))
    assert (code_of(sent), session.over, session.failure) == (code, True, None)
    assert session.peer_code == code


def test_a_goodbye_without_a_code_is_answered_without_one() -> None:
    assert play(frame(CLOSE))[1] == b"\x88\x00"


def test_after_our_goodbye_nothing_more_is_sent() -> None:
    session = WebSocketSession(LIMIT)
    session.close(1001, "x" * 500)
    sent = session.data_to_send()
    assert (sent[:2], code_of(sent), session.over) == (b"\x88\x7d", 1001, False)
    session.send(b"late", text=True)
    session.ping()
    assert session.data_to_send() == b""
    session.receive_data(close(1001))
    session.data_to_send()
    assert session.over


@given(st.binary(max_size=200))
def test_no_bytes_break_the_session(data: bytes) -> None:
    _, _, session = play(data, 7)
    session.receive_eof()
    assert session.over
