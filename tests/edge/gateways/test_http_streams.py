"""Server-sent events on a real node: at the reader's pace, cancelled when it leaves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .web_house import Web, open_web

FUNCTIONS = """
ended = []
made = []


@app.edge(http.get("/ticks/{count}"))
async def ticks(count: int, event: Event) -> AsyncIterator[dict[str, int]]:
    first = int(event.headers.get("last-event-id", "0"))
    for number in range(first, count):
        yield Update({"n": number}, id=str(number + 1), name="tick")


@app.edge(http.get("/forever"))
async def forever() -> AsyncIterator[str]:
    try:
        yield "first\\nline"
        await asyncio.Event().wait()
    finally:
        ended.append("forever")


@app.edge(http.get("/flood"))
async def flood() -> AsyncIterator[str]:
    while True:
        made.append(1)
        yield "x" * 65536


@app.edge(http.get("/tight"))
async def tight() -> AsyncIterator[int]:
    while True:
        made.append(1)
        yield 1


@app.edge(http.get("/broken"))
async def broken() -> AsyncIterator[int]:
    yield 1
    raise RuntimeError("oh")


@app.edge(http.get("/effects"))
async def effects() -> AsyncIterator[int]:
    yield 1
    app.publish("a/b", {})


@app.edge(http.get("/plain/{count}"))
def plain(count: int) -> AsyncIterator[int]:
    if count < 0:
        raise Reject("invalid", "count up")
    return numbers(count)


async def numbers(count: int):
    for number in range(count):
        yield number


@app.edge(http.get("/ended"))
def what_ended() -> list[str]:
    return ended


@app.edge(http.get("/made"))
def how_many() -> int:
    return len(made)
"""


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path, FUNCTIONS) as web:
        yield web


def chunks(body: bytes) -> bytes:
    """Join a chunked body, which must be whole."""
    found = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        found, body = found + body[:length], body[length + 2 :]
        if not length:
            return found
    raise AssertionError("the last chunk is missing")


async def test_values_are_sent_as_events_with_ids_and_names(web: Web) -> None:
    status, headers, body = await web.call("GET", "/ticks/2")
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert headers["cache-control"] == "no-store"
    assert chunks(body) == b'id: 1\nevent: tick\ndata: {"n":0}\n\nid: 2\nevent: tick\ndata: {"n":1}\n\n'


async def test_a_caller_that_comes_again_goes_on_behind_the_last_event(web: Web) -> None:
    body = chunks((await web.call("GET", "/ticks/3", "Last-Event-ID: 2"))[2])
    assert body == b'id: 3\nevent: tick\ndata: {"n":2}\n\n'


async def test_a_function_is_cancelled_when_its_reader_leaves(web: Web) -> None:
    reader, writer = await web.open()
    writer.write(b"GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"data: first\ndata: line\n\n")
    assert web.node.http.stats()["streams"] == 1
    writer.close()
    await web.until(lambda: web.node.http.stats()["streams"] == 0)
    assert (await web.call("GET", "/ended"))[2] == b'["forever"]'


async def test_a_reader_that_reads_nothing_makes_the_function_wait(web: Web) -> None:
    reader, writer = await web.open()
    writer.write(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await web.until(lambda: web.node.http.stats()["slow_readers"] == 1)
    before = int((await web.call("GET", "/made"))[2])
    for _ in range(20):
        await asyncio.sleep(0)
    assert int((await web.call("GET", "/made"))[2]) == before
    await reader.readexactly(before * 65536)  # it goes on when the reader has caught up
    await web.until(lambda: web.node.http.stats()["slow_readers"] >= 1)
    writer.close()
    await web.until(lambda: web.node.http.stats()["streams"] == 0)


async def test_a_function_that_never_waits_leaves_the_others_their_turn(web: Web) -> None:
    reader, writer = await web.open()
    writer.write(b"GET /tight HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"data: 1\n\n")
    made = web.node.dispatcher.functions["tight"].call.__globals__["made"]
    assert len(made) < 1000  # the socket's buffer takes twenty times as many
    writer.close()
    await web.until(lambda: web.node.http.stats()["streams"] == 0)


async def test_a_silent_stream_tells_that_it_lives(web: Web) -> None:
    reader, writer = await web.open()
    writer.write(b"GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"data: line\n\n\r\n")
    [connection] = web.node.http._connections
    connection.check(web.node.http.clock() + 14_000_000_000)
    connection.check(web.node.http.clock() + 16_000_000_000)
    assert await reader.readuntil(b":\n\n\r\n") == b"3\r\n:\n\n\r\n"
    writer.close()


async def test_a_function_that_raises_ends_its_stream_with_a_problem(web: Web) -> None:
    body = chunks((await web.call("GET", "/broken"))[2])
    assert body.startswith(b"data: 1\n\nevent: problem\ndata: ")
    assert b'"status":500' in body
    assert b"oh" not in body


async def test_a_stream_has_no_effects(web: Web) -> None:
    body = chunks((await web.call("GET", "/effects"))[2])
    assert b'"detail":"effects raised RuntimeError"' in body


async def test_a_plain_function_may_refuse_before_its_stream_begins(web: Web) -> None:
    assert chunks((await web.call("GET", "/plain/2"))[2]) == b"data: 0\n\ndata: 1\n\n"
    assert (await web.call("GET", "/plain/-1"))[0] == 400


async def test_http_1_0_gets_a_stream_until_the_connection_ends(web: Web) -> None:
    answer = await web.exchange(b"GET /ticks/1 HTTP/1.0\r\nHost: localhost\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert body == b'id: 1\nevent: tick\ndata: {"n":0}\n\n'


async def test_pipelined_requests_wait_for_a_stream_and_it_for_them(web: Web) -> None:
    paths = ("/made", "/ticks/1", "/plain/1", "/made")
    asked = "".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in paths)
    reader, writer = await web.open()
    writer.write(asked.encode())
    for expected in (b"\r\n\r\n0", b'{"n":0}\n\n\r\n0\r\n\r\n', b"data: 0\n\n\r\n0\r\n\r\n", b"\r\n\r\n0"):
        await reader.readuntil(expected)
    writer.close()


async def test_head_of_a_stream_has_no_body_and_runs_nothing(web: Web) -> None:
    status, headers, body = await web.call("HEAD", "/forever")
    assert (status, headers["content-type"], body) == (200, "text/event-stream", b"")
    assert web.node.http.stats()["streams"] == 0


async def test_a_node_that_stops_ends_its_streams(tmp_path: Path) -> None:
    async with open_web(tmp_path, FUNCTIONS) as web:
        reader, writer = await web.open()
        writer.write(b"GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"data: line\n\n\r\n")
    assert await reader.read(-1) == b"0\r\n\r\n"
    writer.close()
