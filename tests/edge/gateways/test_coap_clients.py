"""libcoap's client, and this package's own, against the gateway on real sockets."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rimward.edge.gateways.coap import CoapConfig
from rimward.protocols.coap import Message, request
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import ABORT, CHANGED, CONTENT, CSM, GET, POST, PUT, RELEASE
from rimward.protocols.coap.messages import FrameDecoder, frame

from .coap_house import House, coap_house, numbers

CLIENT = "coap-client-notls"
needs_libcoap = pytest.mark.skipif(
    shutil.which(CLIENT) is None, reason="needs the Debian package libcoap3-bin"
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with coap_house(tmp_path, CoapConfig(linger=0.05)) as house:
        yield house
        await house.gateway.close(1)


async def serve(house: House) -> int:
    """Listen on one port of UDP and TCP."""
    datagrams, stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    while True:
        datagrams.bind(("127.0.0.1", 0))
        port: int = datagrams.getsockname()[1]
        try:
            stream.bind(("127.0.0.1", port))
        except OSError:  # another one's: try the next
            datagrams.close()
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            continue
        break
    await house.gateway.serve(datagrams)
    await house.gateway.serve(stream)
    return port


async def coap_client(*words: str) -> tuple[str, str]:
    """Run libcoap's client and return what it printed and what it complained of."""
    process = await asyncio.create_subprocess_exec(
        "coap-client-notls",
        "-B",
        "10",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return out.decode().strip(), err.decode().strip()


@needs_libcoap
@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
async def test_libcoap_reads_writes_and_is_refused(house: House, scheme: str) -> None:
    address = f"{scheme}://127.0.0.1:{await serve(house)}"
    body = ("-t", "json", "-e", '{"kwh": 2.5}')
    assert await coap_client("-m", "put", *body, f"{address}/meters/7") == ("", "")
    assert await coap_client("-m", "post", *body, f"{address}/meters/7?times=3") == ('{"kwh":10.0}', "")
    assert await coap_client("-m", "get", f"{address}/meters/7") == ('{"kwh":10.0}', "")
    out, err = await coap_client("-m", "get", f"{address}/nothing")
    assert "no function serves this path" in out + err
    out, err = await coap_client("-m", "put", "-t", "json", "-e", '{"kwh": "x"}', f"{address}/meters/7")
    assert "4.22 Expected `float`, got `str` - at `$.kwh`" in out + err


@needs_libcoap
async def test_libcoap_asks_without_acknowledgement(house: House) -> None:
    port = await serve(house)
    assert await coap_client("-N", "-m", "get", f"coap://127.0.0.1:{port}/who") == (
        "127.0.0.1 coap coap /who",
        "",
    )


@needs_libcoap
@pytest.mark.parametrize("size", ["16", "64", "1024"])
async def test_libcoap_sends_and_gets_in_blocks(house: House, tmp_path: Path, size: str) -> None:
    port = await serve(house)
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(bytes(range(256)) * 5)
    arguments = ("-b", size, "-t", "42", "-f", str(sent), "-o", str(got))
    await coap_client("-m", "post", *arguments, f"coap://127.0.0.1:{port}/echo")
    assert got.read_bytes() == sent.read_bytes()
    out, _ = await coap_client("-m", "get", "-b", size, f"coap://127.0.0.1:{port}/large")
    assert out == "0123456789" * 500
    assert house.bench.dispatcher.functions["echo"].figures.calls == 1


@needs_libcoap
async def test_libcoap_is_answered_when_the_disk_has_it(house: House) -> None:
    address = f"coap://127.0.0.1:{await serve(house)}/facts/7"
    assert await coap_client("-m", "post", "-e", '{"celsius": 9}', address) == ("", "")
    assert house.gateway.stats()["code_2.04"] == 1


@needs_libcoap
@pytest.mark.parametrize("scheme", ["coap", "coap+tcp"])
async def test_libcoap_observes(house: House, scheme: str) -> None:
    port = await serve(house)
    watching = await asyncio.create_subprocess_exec(
        CLIENT, "-s", "30", "-m", "get", f"{scheme}://127.0.0.1:{port}/meters/7",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert watching.stdout is not None
    assert await watching.stdout.readuntil(b"}") == b'{"kwh":0.0}'
    for kwh in (1, 2):
        body = ("-t", "json", "-e", f'{{"kwh": {kwh}}}')
        await coap_client("-m", "put", *body, f"coap://127.0.0.1:{port}/meters/7")
        told = await watching.stdout.readuntil(b"}")
        assert told.strip() == b'{"kwh":%d.0}' % kwh
    watching.terminate()
    await watching.communicate()


@needs_libcoap
async def test_libcoap_ends_its_observation(house: House) -> None:
    port = await serve(house)
    await coap_client("-s", "1", "-m", "get", f"coap://127.0.0.1:{port}/meters/7")
    stats = house.gateway.stats()
    assert (stats["observe_registered"], stats["observers"], stats["observe_cancelled"]) == (1, 0, 1)


@needs_libcoap
async def test_libcoap_discovers(house: House) -> None:
    port = await serve(house)
    out, _ = await coap_client("-m", "get", f"coap://127.0.0.1:{port}/.well-known/core?rt=who")
    assert out == '</who>;rt="who";if="get";ct=0;obs'


# -- streams


class Line:
    """A connection of a client of bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._decoder = FrameDecoder(1 << 20)
        self._heard: list[Message] = []

    async def next(self) -> Message:
        while not self._heard:
            data = await self.reader.read(65_536)
            assert data, "the node hung up"
            self._heard += self._decoder.feed(data)
        return self._heard.pop(0)

    def send(self, *messages: Message) -> None:
        self.writer.write(b"".join(map(frame, messages)))


async def connect(port: int, *options: tuple[int, bytes]) -> Line:
    line = Line(*await asyncio.open_connection("127.0.0.1", port))
    assert (await line.next()).code == CSM
    line.send(Message(CSM, options=list(options)))
    return line


async def test_a_peer_that_takes_large_messages_gets_a_large_answer_whole(house: House) -> None:
    port = await serve(house)
    small, large = await connect(port), await connect(port, (2, b"\x40\x00"), (4, b""))
    for line in (small, large):
        line.send(request(GET, "large"))
    answer = await small.next()
    assert (len(answer.payload), opt.BLOCK2 in numbers(answer.options)) == (1024, True)
    assert (await large.next()).payload == b"0123456789" * 500
    body = b"x" * 5000
    large.send(request(POST, "echo", body))
    assert (await large.next()).payload == body
    for line in (small, large):
        line.writer.close()


async def test_answers_come_in_the_order_in_which_they_are_ready(house: House) -> None:
    line = await connect(await serve(house))
    slow, quick = request(POST, "slow", b"later"), request(GET, "who")
    slow.token, quick.token = b"s", b"q"
    line.send(slow, quick)
    assert [(await line.next()).token for _ in range(2)] == [b"q", b"s"]
    line.writer.close()


async def test_who_breaks_the_protocol_is_told_and_hung_up_on_alone(house: House) -> None:
    port = await serve(house)
    bad, good = await connect(port), await connect(port)
    bad.writer.write(b"\x0f\x01")
    abort = await bad.next()
    assert (abort.code, b"token" in abort.payload) == (ABORT, True)
    assert await bad.reader.read() == b""
    good.send(request(GET, "who"))
    assert (await good.next()).code == CONTENT
    assert house.gateway.stats()["aborted"] == 1
    for line in (bad, good):
        line.writer.close()


async def test_a_connection_that_says_nothing_ends_and_one_that_observes_stays(house: House) -> None:
    port = await serve(house)
    idle, watching = await connect(port), await connect(port)
    for line in (idle, watching):
        line.send(request(GET, "meters/7", more=[(opt.OBSERVE, b"")] if line is watching else []))
        assert (await line.next()).payload == b'{"kwh":0.0}'
    house.pass_time(301)
    assert (await idle.next()).code == RELEASE
    assert await idle.reader.read() == b""
    watching.send(request(PUT, "meters/7", b'{"kwh": 1}'))
    assert {(await watching.next()).payload for _ in range(2)} == {b"", b'{"kwh":1.0}'}
    for line in (idle, watching):
        line.writer.close()


async def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    async with coap_house(tmp_path, CoapConfig(max_connections=1, linger=0.05)) as house:
        port = await serve(house)
        first, second = await connect(port), await connect(port)
        assert (await second.next()).code == ABORT
        assert house.gateway.stats()["over_limit"] == 1
        first.writer.close()
        second.writer.close()
        await house.gateway.close(1)


async def test_closing_says_goodbye_after_the_answers_that_are_owed(house: House) -> None:
    line = await connect(await serve(house))
    line.send(request(POST, "slow", b"x"))
    await house.until(lambda: house.gateway.stats()["stream_requests"] == 1)
    closing = asyncio.create_task(house.gateway.close(5))
    heard = [await line.next(), await line.next()]
    assert {one.code for one in heard} == {CHANGED, RELEASE}
    await closing
    line.writer.close()


@needs_libcoap
async def test_a_socket_that_is_flooded_still_answers_everyone(house: House) -> None:
    port = await serve(house)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.connect(("127.0.0.1", port))
        for n in range(500):
            flood.send(b"\x40\x01" + n.to_bytes(2, "big") + b"\xff" * (n % 3))
        out, _ = await coap_client("-m", "get", f"coap://127.0.0.1:{port}/who")
    assert out == "127.0.0.1 coap coap /who"
