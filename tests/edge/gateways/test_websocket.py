"""WebSockets on a real node: typed messages both ways, refusals, back-pressure, and MQTT in frames."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from tests.protocols.websocket.frames import BINARY, CLOSE, CONT, PING, TEXT, close, frame
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rimward.edge.gateways.websocket.connection import WebSocketConnection

from .web_house import Web, open_web

FUNCTIONS = """
gates = {}
ended = []


class Ask(Struct):
    n: int


@app.edge(ws("/rooms/{room}"))
def visit(room: str, ask: Ask, state: State[Room]) -> dict[str, int | str]:
    if ask.n < 0:
        raise Reject("conflict", "count up")
    state.value.count += ask.n
    app.forward(Order(ask.n))
    return {"room": room, "count": state.value.count}


@app.edge(ws("/raw"))
def raw(data: bytes) -> bytes:
    return data[::-1]


@app.edge(ws("/text"))
def text(data: str) -> str | None:
    return data.upper() if data else None


@app.edge(ws("/order"))
async def order(ask: Ask) -> int:
    gate = gates.setdefault(ask.n, asyncio.Event())
    await gate.wait()
    return ask.n


@app.edge(http.post("/open/{n}"))
def let(n: int) -> None:
    gates.setdefault(n, asyncio.Event()).set()


@app.edge(ws("/count"))
async def count(ask: Ask) -> AsyncIterator[int]:
    try:
        for number in range(ask.n):
            yield number
        if ask.n == 0:
            await asyncio.Event().wait()
        if ask.n == 7:
            raise Reject("busy", "seven")
    finally:
        ended.append(ask.n)


@app.edge(http.get("/ended"))
def what() -> list[int]:
    return ended


@app.edge(ws("/trucks/{truck}", topic="trucks/{truck}/chiller"))
def truck(truck: str, ask: Ask, device: Device, event: Event) -> list[str]:
    app.publish(f"trucks/{truck}/chiller", {"mode": ask.n})
    return [truck, device.protocol, event.headers.get("x-app", "")]


@app.edge(http.post("/chill/{truck}"))
def chill(truck: str, body: bytes) -> None:
    app.publish(f"trucks/{truck}/chiller", body)


@app.edge(ws("/big"))
def big(data: bytes) -> bytes:
    return bytes(1 << 20)


@app.edge(ws("/events"))
def events(data: dict[str, int], event: Event) -> CloudEvent:
    return CloudEvent(id="2", source="//node", type="answer", data=b'{"was":"%b"}' % event.id.encode())
"""


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path, FUNCTIONS) as web:
        yield web


@asynccontextmanager
async def client(web: Web, path: str, *subprotocols: str, **options: Any) -> AsyncGenerator[ClientConnection]:
    url = f"ws://127.0.0.1:{web.port}{path}"
    async with connect(url, subprotocols=subprotocols or None, **options) as socket:  # pyright: ignore[reportArgumentType] (names are a type of their own)
        yield socket


@dataclass
class Raw:
    """A client that sends any bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def until_close(self) -> tuple[bytes, int]:
        """Return what came before the close frame, and its code; the node must hang up then."""
        data = await self.reader.read(-1)
        at = data.rindex(b"\x88")
        return data[:at], int.from_bytes(data[at + 2 : at + 4], "big")


@asynccontextmanager
async def raw(web: Web, path: str, *lines: str) -> AsyncGenerator[Raw]:
    reader, writer = await web.open()
    fields = ["Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", *fields, key, *lines, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    yield Raw(reader, writer)
    writer.close()


# -- typed messages


async def test_each_message_is_an_event_and_what_is_returned_comes_back(web: Web) -> None:
    async with client(web, "/rooms/a") as socket:
        await socket.send('{"n": 2}')
        assert msgspec.json.decode(await socket.recv()) == {"room": "a", "count": 2}
        await socket.send('{"n": 3}')
        assert msgspec.json.decode(await socket.recv()) == {"room": "a", "count": 5}
    assert web.node.dispatcher.counters["forwards"] == 2
    await web.until(lambda: web.node.http.stats()["sockets"] == 0)
    assert web.node.http.stats()["socket_messages"] == 2


async def test_a_refused_message_is_told_as_a_problem_and_the_socket_stays(web: Web) -> None:
    async with client(web, "/rooms/a") as socket:
        for sent, status, code in [
            ('{"n": -1}', 409, "conflict"),
            ('{"n": "x"}', 422, "payload"),
            ("nonsense", 422, "payload"),
            (b"\xff", 422, "payload"),
        ]:
            await socket.send(sent)
            problem = msgspec.json.decode(await socket.recv())
            assert (problem["status"], problem["code"]) == (status, code)
        await socket.send('{"n": 1}')
        assert msgspec.json.decode(await socket.recv())["count"] == 1
    assert web.node.http.stats()["socket_refusals"] == 4


async def test_bytes_come_back_as_bytes_text_as_text_and_nothing_as_nothing(web: Web) -> None:
    async with client(web, "/raw") as socket:
        await socket.send(b"\x00\xff")
        assert await socket.recv() == b"\xff\x00"
    async with client(web, "/text") as socket:
        await socket.send("")
        await socket.send("grün")
        assert await socket.recv() == "GRÜN"


@pytest.mark.parametrize(
    ("subprotocol", "encode", "decode"),
    [("msgpack", msgspec.msgpack.encode, msgspec.msgpack.decode), ("cbor", cbor2.dumps, cbor2.loads)],
)
async def test_a_subprotocol_names_the_encoding_of_binary_messages(
    web: Web, subprotocol: str, encode: Any, decode: Any
) -> None:
    async with client(web, "/rooms/a", "unknown", subprotocol) as socket:
        assert socket.subprotocol == subprotocol
        await socket.send(encode({"n": 2}))
        assert decode(await socket.recv()) == {"room": "a", "count": 2}
        await socket.send(encode({"n": "x"}))
        assert msgspec.json.decode(await socket.recv())["code"] == "payload"  # a problem is always text


async def test_events_are_read_and_written_by_their_subprotocol(web: Web) -> None:
    async with client(web, "/events", "cloudevents.json") as socket:
        await socket.send(
            '{"specversion":"1.0","id":"1","source":"//d","type":"t",'
            '"datacontenttype":"application/json","data":{"n":1}}'
        )
        answer = msgspec.json.decode(await socket.recv())
        assert (answer["id"], answer["data"]) == ("2", {"was": "1"})


async def test_answers_come_in_the_order_of_their_messages(web: Web) -> None:
    async with client(web, "/order") as socket:
        for n in (1, 2, 3):
            await socket.send(f'{{"n": {n}}}')
        for n in (3, 2, 1):
            await web.call("POST", f"/open/{n}")
        assert [await socket.recv() for _ in range(3)] == ["1", "2", "3"]


async def test_who_sends_faster_than_it_is_answered_is_read_no_more(web: Web) -> None:
    async with client(web, "/order") as socket:
        for _ in range(16):
            await socket.send('{"n": 9}')
        await web.until(lambda: web.node.http.stats()["socket_messages"] == 16)
        [connection] = web.node.http._connections
        assert isinstance(connection, WebSocketConnection)
        assert not connection._reading
        await socket.send('{"n": 9}')
        await web.call("POST", "/open/9")
        assert [await socket.recv() for _ in range(17)] == ["9"] * 17


async def test_an_iterator_sends_many_messages_and_ends_with_its_reader(web: Web) -> None:
    async with client(web, "/count") as socket:
        await socket.send('{"n": 3}')
        assert [await socket.recv() for _ in range(3)] == ["0", "1", "2"]
        await socket.send('{"n": 7}')
        last = [await socket.recv() for _ in range(8)][-1]
        assert msgspec.json.decode(last)["detail"] == "seven"
        for _ in range(9):
            await socket.send('{"n": 0}')
        assert msgspec.json.decode(await socket.recv())["code"] == "busy"
    await web.until(lambda: web.node.http.stats()["sockets"] == 0)
    await web.until(lambda: web.node.dispatcher.events > 0)
    assert sorted(msgspec.json.decode((await web.call("GET", "/ended"))[2])) == [0] * 8 + [3, 7]


async def test_a_socket_is_told_what_functions_publish_to_its_topic(web: Web) -> None:
    async with client(web, "/trucks/7", additional_headers={"X-App": "a"}) as socket:
        async with client(web, "/trucks/8") as other:
            await socket.send('{"n": 1}')
            assert [await socket.recv() for _ in range(2)] == ['{"mode":1}', '["7","ws","a"]']
            await web.call("POST", "/chill/8", body=b"\xff\x00")
            assert await other.recv() == b"\xff\x00"
        await web.call("POST", "/chill/7", body=b"mine")
        assert await socket.recv() == "mine"
    await web.until(lambda: web.node.http.stats()["sockets"] == 0)
    assert web.node.http.topics._sockets == {}
    await web.call("POST", "/chill/7", body=b"nobody")


# -- opening


async def test_a_socket_opens_only_where_a_function_takes_its_messages(web: Web) -> None:
    for path, status in [("/nowhere", 404), ("/ended", 200)]:
        with pytest.raises(InvalidStatus) as refused:
            async with client(web, path):
                pass
        assert refused.value.response.status_code == status
    status, headers, _ = await web.call("GET", "/raw")
    assert (status, headers["upgrade"]) == (426, "websocket")


async def test_a_page_of_another_origin_can_not_open_a_socket(web: Web) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with client(web, "/raw", origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403
    async with client(web, "/raw", origin=f"http://127.0.0.1:{web.port}"):
        pass
    status, _, _ = await web.call("GET", "/raw", "Host: evil.example")
    assert status in {400, 421}


@pytest.mark.parametrize(
    ("change", "status"),
    [("Sec-WebSocket-Version: 8", 426), ("Sec-WebSocket-Key: short", 400), ("X: y", 426)],
)
async def test_an_opening_that_is_none_is_answered_as_http(web: Web, change: str, status: int) -> None:
    lines = ["Upgrade: websocket", change]
    if change.startswith("Sec-WebSocket-Key"):
        lines.append("Sec-WebSocket-Version: 13")
    head = "\r\n".join(["GET /raw HTTP/1.1", "Host: localhost", "Connection: Upgrade, close", *lines, "", ""])
    answer = await web.exchange(head.encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"problem+json" in answer


async def test_what_comes_right_behind_the_opening_is_already_a_message(web: Web) -> None:
    reader, writer = await web.open()
    lines = ["Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    head = "\r\n".join(["GET /raw HTTP/1.1", *lines, key, "", ""]).encode()
    writer.write(head + frame(BINARY, b"ab"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await reader.readexactly(4) == b"\x82\x02ba"
    writer.close()


async def test_requests_behind_an_upgrade_that_is_refused_are_still_served(web: Web) -> None:
    lines = "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    last = "GET /ended HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    asked = f"GET /ended HTTP/1.1\r\n{lines}\r\n{last}"
    answer = await web.exchange(asked.encode())
    assert answer.count(b"HTTP/1.1 200 OK") == 2


# -- the end of a socket


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x", rsv=4), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CONT, b"x"), 1002),
        (frame(BINARY, bytes(300 << 10)), 1009),
        (close(1000), 1000),
        (close(1005), 1002),
    ],
)
async def test_a_broken_rule_ends_its_own_socket_with_its_code(web: Web, data: bytes, code: int) -> None:
    async with raw(web, "/raw") as socket:
        socket.writer.write(frame(BINARY, b"ab"))
        assert await socket.reader.readexactly(4) == b"\x82\x02ba"
        socket.writer.write(data)
        assert await socket.until_close() == (b"", code)
    stats = web.node.http.stats()
    assert stats["refused"] == (code != 1000)


async def test_a_node_that_stops_says_so(tmp_path: Path) -> None:
    async with open_web(tmp_path, FUNCTIONS) as web:
        reader, writer = await web.open()
        async with client(web, "/raw") as socket:
            closing = asyncio.create_task(web.node.http.close(1.0))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            await closing
        writer.close()
        del reader


async def test_a_silent_peer_is_asked_for_a_sign_of_life_and_then_left(web: Web) -> None:
    async with raw(web, "/raw") as socket:
        [connection] = web.node.http._connections
        now = web.node.http.clock()
        connection.check(now + 31_000_000_000)
        assert await socket.reader.readexactly(2) == b"\x89\x00"
        connection.check(now + 61_000_000_000)
        assert (await socket.reader.readexactly(4))[2:4] == (1011).to_bytes(2, "big")
        connection.check(web.node.http.clock() + 5_000_000_000)
        await web.until(lambda: web.node.http.stats()["sockets"] == 0)


async def test_a_reader_that_reads_nothing_is_asked_nothing_and_cut(web: Web) -> None:
    async with raw(web, "/big") as socket:
        socket.writer.write(frame(BINARY, b"x") * 40)
        await web.until(lambda: web.node.http.stats()["slow_readers"] == 1)
        [connection] = web.node.http._connections
        connection.check(web.node.http.clock() + 31_000_000_000)
        await web.until(lambda: web.node.http.stats()["sockets"] == 0)
    assert web.node.http.stats()["slow_readers_cut"] == 1


async def test_a_peer_that_hangs_up_leaves_nothing(web: Web) -> None:
    async with raw(web, "/order") as socket:
        socket.writer.write(frame(TEXT, b'{"n": 4}'))
        await web.until(lambda: web.node.http.stats()["socket_messages"] == 1)
        socket.writer.transport.abort()
        await web.until(lambda: web.node.http.stats()["sockets"] == 0)
    await web.call("POST", "/open/4")
    assert web.node.http.stats()["connections"] == 0 or web.node.http.stats()["busy"] == 0


async def test_fragments_with_a_ping_between_them_are_one_message(web: Web) -> None:
    async with raw(web, "/text") as socket:
        text = "grün".encode()
        socket.writer.write(frame(TEXT, text[:3], fin=False) + frame(PING, b"p") + frame(CONT, text[3:]))
        assert await socket.reader.readexactly(3) == b"\x8a\x01p"
        assert await socket.reader.readexactly(7) == b"\x81\x05" + "GRÜN".encode()
        socket.writer.write(frame(CLOSE))
        assert await socket.reader.read(-1) == b"\x88\x00"
