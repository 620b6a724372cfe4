from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.http import HttpSession, Limits

from .exchange import SMALL, Exchange, play, status_of

GET = b"GET /a?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;name=value\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"
)
EXPECTING = b"PUT /d HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
HEAD = b"HEAD /e HTTP/1.1\r\nHost: h\r\n\r\n"
OLD = b"GET /f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
LAST = b"GET /g HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
GOOD = [GET, POST, CHUNKED, EXPECTING, HEAD, OLD, LAST, b"\r\n" + GET]
BAD = [
    b"GET /a HTTP/1.1\nHost: h\r\n\r\n",
    b"GET /" + b"a" * 80 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 300 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 400,
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65\r\n\r\n",
    b"GARBAGE\r\n\r\n",
    b"\r\n" * 6,
]
streams = st.lists(st.sampled_from(GOOD + BAD), min_size=1, max_size=6).map(b"".join)
JUNK = [b"\r", b"\n", b"\0", b" ", b"\r\n", b":", b"\xff", b"\r\n\r\n", b"x" * 70, b"0" * 250]


def mangle(data: bytes, at: int, junk: bytes) -> bytes:
    at %= len(data) + 1
    return data[:at] + junk + data[at:]


mangled = st.builds(mangle, streams, st.integers(0, 2000), st.sampled_from(JUNK))


@given(streams | mangled, st.lists(st.integers(0, 2000), max_size=12))
def test_cutting_the_byte_stream_anywhere_changes_nothing(data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert Exchange().feed(pieces).outcome() == play(data).outcome()


@given(streams | mangled)
def test_feeding_byte_by_byte_changes_nothing(data: bytes) -> None:
    pieces = [data[at : at + 1] for at in range(len(data))]
    assert Exchange().feed(pieces).outcome() == play(data).outcome()


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_random_bytes_never_raise_and_never_make_two_errors(pieces: list[bytes]) -> None:
    exchange = Exchange().feed(pieces)
    assert exchange.sent.count(b"application/problem+json") <= 1
    assert exchange.session.error is None or exchange.session.closing


@given(st.permutations(range(4)))
def test_pipelined_requests_are_answered_in_order_whatever_is_ready_first(order: list[int]) -> None:
    session = HttpSession(SMALL, now=0)
    data = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(4))
    requests = session.receive_data(data, now=0)
    sent = b""
    for n in order:
        session.respond(requests[n], 200, {}, b"<%d>" % n, now=0)
        sent += session.data_to_send()
    assert [sent.index(b"<%d>" % n) for n in range(4)] == sorted(sent.index(b"<%d>" % n) for n in range(4))
    assert session.pending == 0


def test_a_request_is_read_whole() -> None:
    [request] = play(GET).requests
    assert (request.method, request.path, request.query) == ("GET", "/a", "x=1")
    assert request.headers == {"host": "localhost"}
    assert play(POST).requests[0].body == b"hello"
    assert play(CHUNKED).requests[0].body == b"abcde"


def test_a_full_pipeline_holds_what_follows_until_answers_leave() -> None:
    session = HttpSession(SMALL, now=0)
    requests = session.receive_data(GET * 6, now=0)
    assert len(requests) == SMALL.pipeline
    assert session.held
    assert session.full
    session.respond(requests[0], 200, {}, b"", now=0)
    assert len(session.receive_data(b"", now=0)) == 1
    session.respond(requests[1], 200, {}, b"", now=0)
    assert len(session.receive_data(b"", now=0)) == 1
    assert not session.held


def test_a_connection_goes_on_unless_one_side_says_close() -> None:
    assert not play(GET).session.closing
    assert play(LAST).session.closing
    assert b"connection: close\r\n" in play(LAST).sent
    assert play(b"GET / HTTP/1.0\r\n\r\n").session.closing
    assert not play(OLD).session.closing
    assert b"connection: keep-alive\r\n" in play(OLD).sent


def test_what_comes_after_connection_close_is_not_read() -> None:
    assert len(play(LAST + GET).requests) == 1


def test_head_is_answered_with_the_length_and_without_the_body() -> None:
    sent = play(HEAD).sent
    assert b"content-length: 8\r\n" in sent
    assert sent.endswith(b"\r\n\r\n")


def test_an_empty_success_has_no_length() -> None:
    session = HttpSession(SMALL, now=0)
    session.respond(session.receive_data(GET, now=0)[0], 204, {}, b"", now=0)
    assert session.data_to_send() == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_continue_is_sent_once_and_only_when_earlier_answers_have_left() -> None:
    session = HttpSession(SMALL, now=0)
    [first] = session.receive_data(GET + EXPECTING[:-2], now=0)
    assert session.data_to_send() == b""
    session.respond(first, 200, {}, b"first", now=0)
    sent = session.data_to_send()
    assert sent.endswith(b"first" + b"HTTP/1.1 100 Continue\r\n\r\n")
    [second] = session.receive_data(b"hi", now=0)
    session.respond(second, 200, {}, b"second", now=0)
    assert b"100 Continue" not in session.data_to_send()


def test_continue_is_sent_before_the_body_comes() -> None:
    session = HttpSession(SMALL, now=0)
    session.receive_data(EXPECTING[:-2], now=0)
    assert session.data_to_send() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_short_request_after_a_long_one_that_came_in_two_reads_is_seen() -> None:
    session = HttpSession(SMALL, now=0)
    long = b"GET /a HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 80 + b"\r\n\r\n"
    assert session.receive_data(long[:-1], now=0) == []
    assert len(session.receive_data(long[-1:] + HEAD, now=0)) == 2


def test_a_body_that_is_refused_by_its_length_is_not_asked_for() -> None:
    data = b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 999\r\n\r\n"
    sent = play(data).sent
    assert sent.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in sent


def test_an_error_is_answered_after_the_requests_before_it() -> None:
    session = HttpSession(SMALL, now=0)
    [request] = session.receive_data(GET + b"NONSENSE\r\n\r\n", now=0)
    assert session.error is not None
    assert session.data_to_send() == b""
    assert not session.closing
    session.respond(request, 200, {}, b"fine", now=0)
    sent = session.data_to_send()
    assert sent.index(b"fine") < sent.index(b"HTTP/1.1 400 ")
    assert session.closing


def test_an_error_keeps_a_sample_of_what_could_not_be_taken() -> None:
    error = play(b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").session.error
    assert error is not None
    assert (error.target, error.status) == ("/p", 400)
    error = play(b"NONSENSE\r\n\r\n").session.error
    assert error is not None
    assert error.sample == b"NONSENSE\r\n\r\n"


@pytest.mark.parametrize("line", [b"3\n", b"\n", b"3\r\nabc\r\n0\r\nX-Sum: 1\n"])
def test_a_line_of_a_chunked_body_that_ends_with_lf_alone_is_refused_at_once(line: bytes) -> None:
    error = play(b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + line).session.error
    assert error is not None
    assert (error.status, error.detail) == (400, "a line in a chunked body ends with LF alone")


def test_a_peer_that_has_said_all_still_gets_its_answers() -> None:
    session = HttpSession(SMALL, now=0)
    requests = session.receive_data(GET * 6, now=0)
    session.receive_eof()
    assert not session.closing
    while requests:
        session.respond(requests.pop(0), 200, {}, b"ok", now=0)
        requests += session.receive_data(b"", now=0)
    assert session.data_to_send().count(b"200 OK") == 6
    assert session.closing


def test_half_a_request_at_the_end_is_dropped() -> None:
    session = HttpSession(SMALL, now=0)
    session.receive_data(POST[:-1], now=0)
    session.receive_eof()
    assert session.closing
    assert session.data_to_send() == b""


SECOND = 1_000_000_000
TIMED = Limits(idle_timeout=60, head_timeout=5, body_timeout=7)


def test_an_idle_connection_ends_without_a_word() -> None:
    session = HttpSession(TIMED, now=0)
    assert session.deadline == 60 * SECOND
    session.expire(now=60 * SECOND - 1)
    assert not session.closing
    session.expire(now=60 * SECOND)
    assert session.closing
    assert session.data_to_send() == b""


def test_a_head_has_one_deadline_that_dripping_bytes_do_not_move() -> None:
    session = HttpSession(TIMED, now=0)
    for second in range(5):
        session.receive_data(GET[second : second + 1], now=second * SECOND)
        assert session.deadline == 5 * SECOND
    session.expire(now=5 * SECOND)
    assert session.error is not None
    assert session.data_to_send().startswith(b"HTTP/1.1 408 ")
    assert session.closing


def test_a_body_has_one_deadline_that_dripping_bytes_do_not_move() -> None:
    session = HttpSession(TIMED, now=0)
    session.receive_data(POST[:-5], now=SECOND)
    session.receive_data(b"h", now=6 * SECOND)
    assert session.deadline == 8 * SECOND
    session.expire(now=8 * SECOND)
    assert session.data_to_send().startswith(b"HTTP/1.1 408 ")


def test_nobody_is_late_while_the_answer_is_ours_to_give() -> None:
    session = HttpSession(TIMED, now=0)
    [request] = session.receive_data(GET, now=0)
    assert session.deadline is None
    session.respond(request, 200, {}, b"", now=100 * SECOND)
    assert session.deadline == 160 * SECOND


def test_a_status_without_a_name_is_still_a_status() -> None:
    session = HttpSession(SMALL, now=0)
    session.respond(session.receive_data(GET, now=0)[0], 299, {}, b"", now=0)
    assert session.data_to_send().startswith(b"HTTP/1.1 299 \r\n")


@given(
    st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=5),
    st.sampled_from([200, 204, 404, 500]),
    st.binary(max_size=20),
)
def test_no_header_can_end_its_line_or_the_response(
    headers: dict[str, str], status: int, body: bytes
) -> None:
    session = HttpSession(SMALL, now=0)
    session.respond(session.receive_data(GET, now=0)[0], status, headers, body, now=0)
    head, _, rest = session.data_to_send().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert rest == (b"" if status == 204 else body)
    assert len(lines) <= 2 + len(headers)
    assert not any(byte in line for line in lines for byte in (b"\r", b"\n", b"\0"))
    assert all(b":" in line for line in lines[1:])


def test_the_session_alone_says_where_a_response_ends() -> None:
    session = HttpSession(SMALL, now=0)
    headers = {"Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "close"}
    session.respond(session.receive_data(GET, now=0)[0], 200, headers, b"four", now=0)
    assert session.data_to_send() == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour"


def test_a_refusal_is_a_problem_document() -> None:
    sent = play(b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n").sent
    assert sent.startswith(b"HTTP/1.1 501 Not Implemented\r\ncontent-type: application/problem+json\r\n")
    assert b'"status":501' in sent
    assert status_of(b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n") == 501
