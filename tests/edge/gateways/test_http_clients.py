"""HTTP's features as clients that others wrote use them: curl, and the websockets client over TLS."""

import asyncio
import gzip
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.edge.gateways.listening.pki import Authority
from tests.protocols.websocket.frames import BINARY, TEXT, frame
from websockets.asyncio.client import connect

from rimward.app.loading import load
from rimward.edge.config import NodeConfig
from rimward.edge.gateways.listening.config import CertificateFiles, ListenerConfig, TlsConfig
from rimward.edge.node import Node

from .web_house import HEAD, Web, open_web

FUNCTIONS = """
@app.edge(http.get("/long"))
def long() -> dict[str, str]:
    return {"text": "0123456789" * 10_000}


@app.edge(http.put("/size"))
def size(body: bytes) -> int:
    return len(body)


@app.edge(http.get("/count/{n}"))
async def count(n: int) -> AsyncIterator[int]:
    for number in range(n):
        await asyncio.sleep(0)
        yield number


@app.edge(ws("/echo"))
def echo(data: bytes) -> bytes:
    return data
"""
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path, FUNCTIONS) as web:
        yield web


async def curl(web: Web, path: str, *options: str) -> bytes:
    """Run curl and return what it printed."""
    command = ["curl", "-sS", "--max-time", "20", *options, f"http://127.0.0.1:{web.port}{path}"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    return done.stdout


async def test_curl_gets_a_compressed_answer_and_reads_it(web: Web) -> None:
    sizes = await curl(web, "/long", "--compressed", "-o", "/dev/null", "-w", "%{size_download}")
    assert int(sizes) < 5000
    assert len(json.loads(await curl(web, "/long", "--compressed"))["text"]) == 100_000


async def test_curl_goes_on_with_a_download_that_was_cut(web: Web, tmp_path: Path) -> None:
    whole = await curl(web, "/long")
    part = tmp_path / "part"
    part.write_bytes(whole[:60_000])
    await curl(web, "/long", "-C", "-", "-o", str(part))
    assert part.read_bytes() == whole


async def test_curl_does_not_load_again_what_it_has(web: Web, tmp_path: Path) -> None:
    kept = str(tmp_path / "tag")
    first = await curl(web, "/long", "--etag-save", kept, "-o", "/dev/null", "-w", "%{http_code}")
    again = await curl(web, "/long", "--etag-compare", kept, "-o", "/dev/null", "-w", "%{http_code}")
    assert (first, again) == (b"200", b"304")


async def test_curl_waits_for_100_continue_and_sends_chunks_and_codings(web: Web, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 200_000)
    assert await curl(web, "/size", "-T", str(body), "-H", "Expect: 100-continue") == b"200000"
    assert await curl(web, "/size", "-T", str(body), "-H", "Transfer-Encoding: chunked") == b"200000"
    body.write_bytes(gzip.compress(b"x" * 200_000))
    assert await curl(web, "/size", "-T", str(body), "-H", "Content-Encoding: gzip") == b"200000"


async def test_curl_reads_a_stream_of_events(web: Web) -> None:
    assert await curl(web, "/count/3", "-N") == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


async def test_a_websocket_over_tls_ends_as_one_over_tcp_does(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    file = tmp_path / "app.py"
    file.write_text(HEAD + FUNCTIONS)
    files: CertificateFiles = authority.issue("node", "localhost")
    https = ListenerConfig("http", "127.0.0.1:0", tls=TlsConfig((files,)))
    config = NodeConfig(app=str(file), data=str(tmp_path), listeners={"https": https})
    async with Node(load(str(file)), config) as node:
        await node.listen({})
        port = node.listening._sockets["https"].getsockname()[1]
        trust = ssl.create_default_context(cafile=str(authority.file))
        async with connect(f"wss://localhost:{port}/echo", ssl=trust) as socket:
            await socket.send(b"x" * 200_000)
            assert await socket.recv() == b"x" * 200_000
        reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        lines = (
            f"GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n"
        )
        writer.write(lines.encode() + frame(BINARY, b"a"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(3) == b"\x82\x01a"
        writer.write(frame(TEXT, b"\xff"))
        answer = await reader.read(-1)
        assert answer[2:4] == (1007).to_bytes(2, "big")
        writer.close()
