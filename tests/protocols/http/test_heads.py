"""What a head may not be; each case was a way to make two readers see two different requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.http import Limits

from .exchange import play, status_of

ROOM = Limits()
H = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (400, b"GET / HTTP/1.1\r\n\r\n"),  # no Host
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + H + b"Content-Type: a\r\ncontent-type: b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, b"GET  / HTTP/1.1\r\n" + H + b"\r\n"),
        (400, b"GET / HTTP/1.1 \r\n" + H + b"\r\n"),
        (400, b" GET / HTTP/1.1\r\n" + H + b"\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + H + b": x\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + H + b"X: a\r\n b\r\n\r\n"),  # obs-fold
        (400, b"GET / HTTP/1.1\r\n X: a\r\n" + H + b"\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + H + b"X: a\nY: b\r\n\r\n"),  # bare LF
        (400, b"GET / HTTP/1.1\r\n" + H + b"X: a\rY: b\r\n\r\n"),  # bare CR
        (400, b"GET / HTTP/1.1\r\n" + H + b"X: \0\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n" + H + b"X\r\n\r\n"),
        (400, b"GET / RTSP/1.0\r\n" + H + b"\r\n"),
        (400, b"GET /\r\n\r\n"),  # HTTP/0.9
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 1, 1\r\n\r\nx"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: +1\r\n\r\nx"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\nx"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0x1\r\n\r\nx"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length:\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0"),
        (400, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0"),
        (400, b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 262145\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 99999999999999999999999999\r\n\r\n"),
        (417, b"POST / HTTP/1.1\r\n" + H + b"Expect: miracles\r\nContent-Length: 1\r\n\r\nx"),
        (431, b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n" * 64 + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 16_384 + b"\r\n\r\n"),
        (414, b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\n" + H + b"\r\n"),
        (501, b"BREW / HTTP/1.1\r\n" + H + b"\r\n"),
        (501, b"get / HTTP/1.1\r\n" + H + b"\r\n"),
        (501, b"TRACE / HTTP/1.1\r\n" + H + b"\r\n"),
        (501, b"CONNECT localhost:80 HTTP/1.1\r\n" + H + b"\r\n"),
        (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
        (505, b"GET / HTTP/1.2\r\n" + H + b"\r\n"),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_or_not_at_all_is_refused(status: int, head: bytes) -> None:
    exchange = play(head + b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n", ROOM)
    assert exchange.requests == []
    assert exchange.session.error is not None
    assert exchange.session.error.status == status
    assert exchange.session.closing


@pytest.mark.parametrize(
    "target",
    [
        "/a%00b", "/a%2Fb", "/a%2fb", "/..", "/../a", "/a/../b", "/a/..", "/./a", "/a/.", "/%2e%2e/a",
        "/a/.%2E/b", "/%2e", "/a%", "/a%4", "/a%zz", "/a?b=%z", "/a?b=%00", "/a#b", "/é", "a", "*",
        "http:///a", "ftp://localhost/a", "http://user@localhost/a", "http://localhost/../a",
        "/?" + "a&" * 100,
    ],
)  # fmt: skip
def test_a_target_that_hides_its_meaning_is_refused(target: str) -> None:
    assert status_of(b"GET " + target.encode() + b" HTTP/1.1\r\n" + H + b"\r\n", ROOM) == 400


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a/b?c=d&e", "/a/b", "c=d&e"),
        ("/a?b?c", "/a", "b?c"),
        ("/a%20b/%C3%A9", "/a%20b/%C3%A9", ""),
        ("/a?b=%2F..%2F", "/a", "b=%2F..%2F"),
        ("/.well-known/x", "/.well-known/x", ""),
        ("/a..b/...", "/a..b/...", ""),
        ("//evil/x", "//evil/x", ""),
    ],
)
def test_a_plain_target_is_handed_on_as_sent(target: str, path: str, query: str) -> None:
    [request] = play(b"GET " + target.encode() + b" HTTP/1.1\r\n" + H + b"\r\n", ROOM).requests
    assert (request.path, request.query) == (path, query)


def test_an_absolute_target_stands_above_host() -> None:
    data = b"GET http://LOCALHOST:8080/a?b HTTP/1.1\r\nHost: elsewhere\r\n\r\n"
    [request] = play(data, ROOM).requests
    assert (request.path, request.query, request.headers["host"]) == ("/a", "b", "LOCALHOST:8080")


def test_fields_of_one_name_are_joined_as_lists_are() -> None:
    data = b"GET / HTTP/1.1\r\n" + H + b"Accept: a\r\naccept:b \r\nCookie: c\r\nCookie: d\r\nEmpty:\r\n\r\n"
    [request] = play(data, ROOM).requests
    assert request.headers == {"host": "localhost", "accept": "a, b", "cookie": "c; d", "empty": ""}


def test_an_upgrade_that_is_not_taken_up_is_an_ordinary_request() -> None:
    upgrade = b"GET /a HTTP/1.1\r\n" + H + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    exchange = play(upgrade + b"GET /b HTTP/1.1\r\n" + H + b"\r\n", ROOM)
    assert [request.path for request in exchange.requests] == ["/a", "/b"]


def test_asking_for_all_options_has_a_target_of_its_own() -> None:
    [request] = play(b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", ROOM).requests
    assert request.path == "*"


@given(st.integers(0, 200))
def test_a_bare_lf_anywhere_in_a_head_is_refused(at: int) -> None:
    head = b"GET /some/path HTTP/1.1\r\n" + H + b"Accept: text/html\r\nX-Y: z\r\n\r\n"
    at = at % (len(head) - 1)
    if head[at : at + 1] == b"\n" or head[at - 1 : at] == b"\r" or at == 0:
        return
    assert status_of(head[:at] + b"\n" + head[at:], ROOM) == 400


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b"x\r\n"),
        (400, b"\r\n"),
        (400, b"-1\r\n"),
        (400, b"0x3\r\nabc\r\n0\r\n\r\n"),
        (400, b"3 \r\nabc\r\n0\r\n\r\n"),
        (400, b"3\nabc\r\n0\r\n\r\n"),
        (400, b"3\r\nabcd\r\n0\r\n\r\n"),
        (400, b"3\r\nabc\n0\r\n\r\n"),
        (400, b"1111111111111111\r\n"),
        (400, b"3;" + b"e" * 300 + b"\r\n"),
        (400, b"0\r\nbad trailer\r\n\r\n"),
        (400, b"0\r\nX: a\nb\r\n\r\n"),
        (413, b"40001\r\n"),
        (413, b"40000\r\n" + b"x" * 262_144 + b"\r\n1\r\n"),
        (431, b"0\r\nX: " + b"y" * 5000 + b"\r\n\r\n"),
        (431, b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n"),
    ],
)
def test_malformed_and_endless_chunks_are_refused(status: int, body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"
    exchange = play(head + body, ROOM)
    assert exchange.requests == []
    assert exchange.session.error is not None
    assert exchange.session.error.status == status


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6))
def test_a_chunked_body_is_what_its_chunks_carry(chunks: list[bytes]) -> None:
    head = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: Chunked\r\n\r\n"
    body = b"".join(b"%X\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    [request] = play(head + body, ROOM).requests
    assert request.body == b"".join(chunks)


def test_a_million_deep_json_is_just_bytes() -> None:
    body = b"[" * 1_000_000
    limits = Limits(body=len(body))
    head = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(body)
    assert play(head + body, limits).requests[0].body == body
