"""What the HTTP gateway does with those who send too much, too slowly, or hang up."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from rimward.edge.gateways.http import HttpConfig, HttpGateway

from .http_house import CONFIG, HOST, SECOND, Clock, House, Porch, build, open_house, parse, problem


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with open_house() as house:
        yield house


async def test_pipelined_requests_are_answered_in_order_with_one_write(house: House) -> None:
    reader, writer = await house.open()
    writer.write(b"".join(f"GET /later/{n} HTTP/1.1\r\n{HOST}\r\n".encode() for n in range(4)))
    await house.until(lambda: len(house.porch.waiting) == 4)
    house.porch.let_in()
    answer = await reader.readuntil(b"/later/3")
    assert [answer.index(b"/later/%d" % n) for n in range(4)] == sorted(
        answer.index(b"/later/%d" % n) for n in range(4)
    )
    writer.close()


async def test_a_pipeline_is_no_longer_than_its_limit(house: House) -> None:
    reader, writer = await house.open()
    writer.write(f"GET /later HTTP/1.1\r\n{HOST}\r\n".encode() * 10)
    await house.until(lambda: len(house.porch.waiting) == 4)
    for _ in range(10):
        house.porch.let_in()
        await reader.readuntil(b"/later")
        assert len(house.porch.waiting) <= 4
        await asyncio.sleep(0)
    assert len(house.porch.requests) == 10
    writer.close()


async def test_many_pipelined_requests_in_one_read_are_all_answered(house: House) -> None:
    reader, writer = await house.open()
    writer.write(f"GET /echo HTTP/1.1\r\n{HOST}\r\n".encode() * 200)
    for _ in range(200):
        await reader.readuntil(b"GET /echo ")
    assert house.gateway.stats()["status_2xx"] == 200
    writer.close()


async def test_bad_input_is_answered_counted_and_buried_with_its_reason(house: House) -> None:
    assert problem(await house.exchange("NONSENSE\r\n\r\n"))["status"] == 400
    [(reason, _, sender, source, payload)] = house.dead
    assert (reason, sender.protocol, source, payload) == ("undecodable", "http", "", b"NONSENSE\r\n\r\n")
    stats = house.gateway.stats()
    assert (stats["refused"], stats["status_4xx"]) == (1, 1)


async def test_an_oversized_body_is_refused_before_it_is_read(house: House) -> None:
    answer = await house.exchange(f"POST /echo HTTP/1.1\r\n{HOST}Content-Length: 1001\r\n\r\n{'x' * 1001}")
    assert problem(answer)["status"] == 413
    assert house.dead[0][0] == "too-large"
    assert house.porch.requests == []


async def test_a_peer_that_goes_on_sending_still_reads_why_it_was_refused(house: House) -> None:
    reader, writer = await house.open()
    writer.write(f"POST /echo HTTP/1.1\r\n{HOST}Content-Length: 99999999\r\n\r\n".encode())
    writer.write(b"x" * 1_000_000)
    assert problem(await reader.read(-1))["status"] == 413
    house.pass_time(CONFIG.linger)
    await house.until_gone()
    writer.close()


async def test_a_million_deep_json_is_just_bytes() -> None:
    async with open_house(HttpConfig(max_body=2_000_000)) as house:
        body = "[" * 1_000_000
        head = f"POST /x HTTP/1.1\r\n{HOST}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        assert parse(await house.exchange(head + body))[0] == 200
        assert house.porch.requests[0].body == body.encode()


async def test_slowloris_is_cut(house: House) -> None:
    reader, writer = await house.open()
    writer.write(b"GET / HTTP/1.1\r\n")
    for seconds in range(5):
        writer.write(b"X-%d: y\r\n" % seconds)
        read = house.gateway.bytes_in
        await house.until(lambda read=read: house.gateway.bytes_in > read)
        house.pass_time(1.9)
    house.pass_time(1.0)
    assert problem(await reader.read(-1))["status"] == 408
    assert house.gateway.stats()["timeouts"] == 1
    assert house.dead == []
    writer.close()


async def test_an_idle_connection_ends(house: House) -> None:
    reader, writer = await house.open()
    await house.until(lambda: house.gateway.stats()["connections"] == 1)
    house.pass_time(CONFIG.idle_timeout)
    assert await reader.read(-1) == b""
    writer.close()


async def test_a_caller_that_waits_for_its_answer_is_not_idle(house: House) -> None:
    reader, writer = await house.open()
    writer.write(f"GET /later HTTP/1.1\r\n{HOST}\r\n".encode())
    await house.until(lambda: bool(house.porch.waiting))
    house.pass_time(3600)
    house.porch.let_in()
    assert await reader.readuntil(b"/later")
    writer.close()


async def test_a_slow_reader_is_paused_and_then_cut(house: House) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", house.port))
    await loop.sock_sendall(sock, f"GET /big HTTP/1.1\r\n{HOST}\r\n".encode() * 400)
    await house.until(lambda: house.gateway.stats()["slow_readers"] == 1)
    served, read = len(house.porch.requests), house.gateway.bytes_in
    await loop.sock_sendall(sock, b"GET /big HTTP/1.1\r\n")
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(house.porch.requests) == served < 60
    assert house.gateway.bytes_in == read
    house.pass_time(CONFIG.write_timeout)
    await house.until_gone()
    assert house.gateway.stats()["slow_readers_cut"] == 1
    sock.close()


async def test_a_slow_reader_that_catches_up_gets_everything(house: House) -> None:
    reader, writer = await house.open()
    writer.write(f"GET /big HTTP/1.1\r\n{HOST}\r\n".encode() * 60)
    await house.until(lambda: house.gateway.stats()["slow_readers"] >= 1)
    for _ in range(60):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 262144" in head
        await reader.readexactly(262_144)
    writer.close()


async def test_a_caller_that_half_closes_still_gets_its_answer(house: House) -> None:
    reader, writer = await house.open()
    writer.write(f"GET /later HTTP/1.1\r\n{HOST}\r\n".encode())
    writer.write_eof()
    await house.until(lambda: bool(house.porch.waiting))
    house.porch.let_in()
    assert (await reader.read(-1)).endswith(b"/later")
    await house.until_gone()
    writer.close()


async def test_a_caller_that_has_gone_is_answered_into_nothing(house: House) -> None:
    _, writer = await house.open()
    writer.write(f"GET /later HTTP/1.1\r\n{HOST}\r\n".encode())
    await house.until(lambda: bool(house.porch.waiting))
    hang_up_at_once = struct.pack("ii", 1, 0)  # by a reset, so that it can't be mistaken for a half-close
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hang_up_at_once)
    writer.transport.abort()
    await house.until_gone()
    house.porch.let_in()
    assert parse(await house.get("/echo"))[0] == 200


async def test_one_connection_too_many_is_told_so(house: House) -> None:
    open_ones = [await house.open() for _ in range(8)]
    await house.until(lambda: house.gateway.stats()["connections"] == 8)
    reader, writer = await house.open()
    status, headers, _ = parse(await reader.read(-1))
    assert (status, headers["retry-after"]) == (503, "1")
    assert house.gateway.stats()["over_limit"] == 1
    for _, other in [*open_ones, (reader, writer)]:
        other.close()


async def test_closing_waits_for_the_answers_that_are_owed() -> None:
    house, sock = build(CONFIG)
    await house.gateway.serve(sock)
    reader, writer = await house.open()
    idle_reader, idle_writer = await house.open()
    writer.write(f"GET /later HTTP/1.1\r\n{HOST}\r\n".encode())
    await house.until(lambda: bool(house.porch.waiting))
    closing = asyncio.create_task(house.gateway.close(drain=20.0))
    assert await idle_reader.read(-1) == b""
    with pytest.raises(ConnectionRefusedError):
        await house.open()
    house.porch.let_in()
    status, headers, body = parse(await reader.read(-1))
    assert (status, headers["connection"], body) == (200, "close", b"/later")
    await closing
    writer.close()
    idle_writer.close()


async def test_closing_does_not_wait_for_ever() -> None:
    house, sock = build(CONFIG)
    await house.gateway.serve(sock)
    reader, writer = await house.open()
    writer.write(f"GET /later HTTP/1.1\r\n{HOST}\r\n".encode())
    await house.until(lambda: bool(house.porch.waiting))
    await house.gateway.close(drain=0.01)
    assert house.gateway.stats()["connections"] == 0
    with suppress(ConnectionResetError):
        assert await reader.read(-1) == b""
    writer.close()


async def test_answers_carry_the_date_where_there_is_a_wall_clock() -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    gateway = HttpGateway(
        Porch(),
        clock=Clock(),
        config=HttpConfig(),
        on_dead=print,
        wall=lambda: 784_111_777 * SECOND,
    )
    port = sock.getsockname()[1]
    await gateway.serve(sock)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /echo HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n".encode())
    assert parse(await reader.read(-1))[1]["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
    writer.close()
    await gateway.close(drain=1.0)
