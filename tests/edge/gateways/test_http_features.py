"""HTTP's own features on a real node: entity tags, conditions, ranges, codings, CORS, signatures."""

import gzip
import hmac
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from rimward.edge.gateways.http import HttpConfig
from rimward.events import LoadError

from .http_house import House, open_house, parse
from .web_house import Web, open_web

FUNCTIONS = """
counted = []


@app.edge(http.get("/rooms/{room}"))
def look(state: State[Room]) -> Room:
    return state.value


@app.edge(http.put("/rooms/{room}"))
def change(room: str, wanted: Room, state: State[Room]) -> Room:
    state.value.count = wanted.count
    return state.value


@app.edge(http.get("/text"))
def text() -> str:
    return "0123456789" * 200


@app.edge(http.get("/own"))
def own() -> Reply[str]:
    return Reply("mine", headers={"ETag": '"v1"'})


@app.edge(http.get("/photo"))
def photo() -> bytes:
    return bytes(range(256)) * 20


@app.edge(http.post("/echo"))
def echo(body: bytes) -> bytes:
    return body


@app.edge(http.post("/headers"))
def headers(event: Event) -> dict[str, str]:
    return event.headers


@app.edge(http.post("/hooks/github", signed=webhook.github(secret="env:HOOK_SECRET")))
def hook(push: dict[str, int]) -> str:
    counted.append(push)
    return str(len(counted))
"""


@pytest.fixture
async def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    async with open_web(tmp_path, FUNCTIONS) as web:
        yield web


# -- entity tags


async def test_what_has_not_changed_is_not_sent_again(web: Web) -> None:
    status, first, body = await web.call("GET", "/rooms/a")
    assert (status, body) == (200, b'{"count":0}')
    status, again, body = await web.call("GET", "/rooms/a", f"If-None-Match: {first['etag']}")
    assert (status, again["etag"], body) == (304, first["etag"], b"")
    assert "content-type" not in again
    await web.call("PUT", "/rooms/a", body=b'{"count": 4}')
    status, new, body = await web.call("GET", "/rooms/a", f"If-None-Match: {first['etag']}")
    assert (status, body) == (200, b'{"count":4}')
    assert new["etag"] != first["etag"]


async def test_head_has_the_tag_and_the_length_and_no_body(web: Web) -> None:
    _, of_get, body = await web.call("GET", "/text")
    status, of_head, nothing = await web.call("HEAD", "/text")
    assert (status, nothing) == (200, b"")
    assert (of_head["etag"], of_head["content-length"]) == (of_get["etag"], str(len(body)))


async def test_a_tag_that_the_function_gives_is_the_one(web: Web) -> None:
    assert (await web.call("GET", "/own"))[1]["etag"] == '"v1"'
    assert (await web.call("GET", "/own", 'If-None-Match: W/"v1"'))[0] == 304
    assert (await web.call("GET", "/own", 'If-Match: "v1"'))[0] == 200
    assert (await web.call("GET", "/own", 'If-Match: "v2"'))[0] == 412


async def test_an_update_of_what_has_changed_meanwhile_is_refused(web: Web) -> None:
    tag = (await web.call("GET", "/rooms/a"))[1]["etag"]
    assert (await web.call("PUT", "/rooms/a", f"If-Match: {tag}", body=b'{"count":1}'))[0] == 200
    status, headers, _ = await web.call("PUT", "/rooms/a", f"If-Match: {tag}", body=b'{"count":2}')
    assert (status, headers["content-type"]) == (412, "application/problem+json")
    assert (await web.call("GET", "/rooms/a"))[2] == b'{"count":1}'


async def test_a_condition_that_can_not_be_compared_does_not_hold(web: Web) -> None:
    for condition in ('If-Match: "x"', "If-Match: *", "If-None-Match: *"):
        assert (await web.call("POST", "/echo", condition, body=b"x"))[0] == 412
    assert (await web.call("POST", "/echo", 'If-None-Match: "x"', body=b"x"))[0] == 200
    assert (await web.call("PUT", "/rooms/a", "If-None-Match: nonsense", body=b'{"count":1}'))[0] == 412
    assert (await web.call("PUT", "/rooms/a", "If-None-Match: *", body=b'{"count":1}'))[0] == 412
    assert (await web.call("PUT", "/rooms/a", "If-Match: *", body=b'{"count":1}'))[0] == 200


# -- codings


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_long_answer_is_compressed_for_who_asks(web: Web, coding: str) -> None:
    _, plain, whole = await web.call("GET", "/text")
    status, headers, body = await web.call("GET", "/text", f"Accept-Encoding: {coding}")
    assert (status, headers["content-encoding"], headers["vary"]) == (200, coding, "accept-encoding")
    assert plain["vary"] == "accept-encoding"
    found = gzip.decompress(body) if coding == "gzip" else zstandard.decompress(body)
    assert found == whole
    assert headers["etag"] != plain["etag"]  # other bytes, another tag
    lines = (f"Accept-Encoding: {coding}", f"If-None-Match: {headers['etag']}")
    assert (await web.call("GET", "/text", *lines))[0] == 304


async def test_what_is_short_or_does_not_shrink_is_sent_as_it_is(web: Web) -> None:
    for path in ("/own", "/photo"):
        _, headers, _ = await web.call("GET", path, "Accept-Encoding: gzip")
        assert "content-encoding" not in headers


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_a_compressed_body_reaches_the_function_as_it_was(web: Web, coding: str) -> None:
    data = (gzip.compress if coding == "gzip" else zstandard.compress)(b"abc" * 100)
    answer = await web.call("POST", "/echo", f"Content-Encoding: {coding}", body=data)
    assert answer[2] == b"abc" * 100


async def test_a_bomb_is_413_and_reaches_no_function(web: Web) -> None:
    before = web.node.dispatcher.events
    body = gzip.compress(bytes(30_000_000))
    assert (await web.call("POST", "/echo", "Content-Encoding: gzip", body=body))[0] == 413
    status, headers, _ = await web.call("POST", "/echo", "Content-Encoding: br", body=b"x")
    assert (status, headers["accept-encoding"]) == (415, "gzip, zstd")
    assert web.node.dispatcher.events == before


# -- ranges


async def test_a_part_is_given_and_several_are_one_body_of_parts(web: Web) -> None:
    status, headers, body = await web.call("GET", "/photo", "Range: bytes=1-3")
    assert (status, headers["content-range"], body) == (206, "bytes 1-3/5120", b"\1\2\3")
    status, headers, body = await web.call("GET", "/photo", "Range: bytes=0-1,-2")
    kind, _, boundary = headers["content-type"].partition("; boundary=")
    assert (status, kind) == (206, "multipart/byteranges")
    parts = body.split(f"--{boundary}".encode())
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:3]] == [b"\0\1\r\n", b"\xfe\xff\r\n"]
    assert b"content-range: bytes 5118-5119/5120" in parts[2]


async def test_a_range_beyond_the_body_is_416_and_a_stale_one_gets_the_whole(web: Web) -> None:
    status, headers, _ = await web.call("GET", "/photo", "Range: bytes=6000-")
    assert (status, headers["content-range"]) == (416, "bytes */5120")
    tag = (await web.call("GET", "/photo"))[1]["etag"]
    assert (await web.call("GET", "/photo", "Range: bytes=0-0", f"If-Range: {tag}"))[0] == 206
    for stale in ('If-Range: "x"', f"If-Range: W/{tag}", "If-Range: Sat, 29 Oct 1994 19:43:31 GMT"):
        status, _, body = await web.call("GET", "/photo", "Range: bytes=0-0", stale)
        assert (status, len(body)) == (200, 5120)


async def test_parts_are_those_of_the_plain_form(web: Web) -> None:
    _, headers, body = await web.call("GET", "/text", "Range: bytes=0-4", "Accept-Encoding: gzip")
    assert body == b"01234"
    assert "content-encoding" not in headers


# -- what a function sees of a request


async def test_a_function_sees_headers_and_no_credentials(web: Web) -> None:
    lines = ("X-Device: 7", "Authorization: Bearer x", "Cookie: a=b")
    _, _, body = await web.call("POST", "/headers", *lines)
    headers = msgspec.json.decode(body)
    assert headers["x-device"] == "7"
    assert not {"authorization", "cookie"} & set(headers)


# -- signatures


def sign(body: bytes, secret: str = "s3cret") -> str:
    return "X-Hub-Signature-256: sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


async def test_a_hook_runs_for_its_signature_alone(web: Web) -> None:
    body = b'{"commits": 3}'
    assert (await web.call("POST", "/hooks/github", sign(body), body=body))[2] == b"1"
    for line in (sign(body, "guessed"), sign(b"{}"), "X-Nothing: 1"):
        status, headers, _ = await web.call("POST", "/hooks/github", line, body=body)
        assert (status, headers["content-type"]) == (403, "application/problem+json")
    assert (await web.call("POST", "/hooks/github", sign(body), body=body))[2] == b"2"
    assert web.node.dispatcher.counters["signatures_refused"] == 3


async def test_a_signature_is_of_the_bytes_as_they_came(web: Web) -> None:
    coded = gzip.compress(b'{"commits": 3}')
    lines = ("Content-Encoding: gzip", sign(coded))
    assert (await web.call("POST", "/hooks/github", *lines, body=coded))[0] == 200
    lines = ("Content-Encoding: gzip", sign(b'{"commits": 3}'))
    assert (await web.call("POST", "/hooks/github", *lines, body=coded))[0] == 403


async def test_a_node_without_the_secret_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="HOOK_SECRET is not set"):
        async with open_web(tmp_path, FUNCTIONS):
            pass


# -- pages of other origins

CORS = HttpConfig(origins=("https://app.example",), credentials=True)
PAGE = ("Host: localhost", "Origin: https://app.example")


async def preflight(house: House, *lines: str) -> tuple[int, dict[str, str], bytes]:
    head = "\r\n".join(["OPTIONS /echo HTTP/1.1", "Connection: close", *lines, "", ""])
    return parse(await house.exchange(head))


async def test_a_preflight_is_answered_by_the_gateway(tmp_path: Path) -> None:
    async with open_house(CORS) as house:
        asked = ("Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a, content-type")
        status, headers, _ = await preflight(house, *PAGE, *asked)
        assert status == 204
        assert headers["access-control-allow-origin"] == "https://app.example"
        assert headers["access-control-allow-credentials"] == "true"
        assert "PUT" in headers["access-control-allow-methods"]
        assert headers["access-control-allow-headers"] == "x-a, content-type"
        assert headers["vary"] == "origin"
        assert house.porch.requests == []
        foreign = ("Host: localhost", "Origin: https://evil.example", asked[0])
        status, headers, _ = await preflight(house, *foreign)
        assert status == 403
        assert not [name for name in headers if name.startswith("access-control")]


async def test_every_answer_to_an_allowed_page_can_be_read_by_it(tmp_path: Path) -> None:
    async with open_house(CORS) as house:
        for path in ("/echo", "/refuse/invalid", "/405"):
            headers = parse(await house.get(path, *PAGE))[1]
            assert headers["access-control-allow-origin"] == "https://app.example"
            assert headers["vary"] == "origin"
    async with open_house(HttpConfig(origins=("https://app.example",))) as house:
        headers = parse(await house.get("/echo", *PAGE))[1]
        assert "access-control-allow-credentials" not in headers


async def test_without_configured_origins_no_answer_has_such_a_header(tmp_path: Path) -> None:
    async with open_house(HttpConfig()) as house:
        own = await house.get("/echo", "Host: localhost:80", "Origin: http://localhost:80")
        assert parse(own)[0] == 200
        assert b"access-control" not in own.lower()
        assert parse(await house.get("/echo", *PAGE))[0] == 403
