"""The PROXY protocol: who may speak it, what is believed, and what is closed."""

import asyncio
import os
import shutil
import socket
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.edge.gateways.listening.config import AcceptConfig, CertificateFiles, ListenerConfig, TlsConfig
from rimward.protocols.proxy import FIXED, MAX_BODY, SIGNATURE, Forwarded, ProxyError, missing, parse

from .pki import Authority
from .support import PATIENCE, connected, ended, greeting, house, trusting

PROXIED = ListenerConfig("mqtt", proxy_protocol_from=("127.0.0.0/8",))
FOREIGN = ListenerConfig("mqtt", proxy_protocol_from=("192.0.2.0/24", "2001:db8::/32"))
V4 = bytes([192, 0, 2, 7, 127, 0, 0, 1]) + struct.pack(">HH", 4711, 1883)


def header(body: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack(">H", len(body)) + body


# -- the header itself


def test_addresses_are_those_of_the_proxys_client() -> None:
    assert parse(header(V4)) == Forwarded("192.0.2.7", 4711)
    v6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack(">HH", 4711, 1883)
    assert parse(header(v6, 0x21)) == Forwarded("2001:db8::7", 4711)
    tlvs = b"\x01\x00\x02h2" + b"\x20\x00\x05\x07\0\0\0\0"
    assert parse(header(V4 + tlvs)) == Forwarded("192.0.2.7", 4711)


def test_a_proxy_that_speaks_for_itself_or_of_no_address_names_nobody() -> None:
    assert parse(header(b"", 0x00, 0x20)) is None
    assert parse(header(b"whatever", 0x11, 0x20)) is None
    assert parse(header(b"", 0x00)) is None
    assert parse(header(bytes(216), 0x31)) is None


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n", "no header of version 2"),
        (header(V4, command=0x11), "version and command are 0x11"),
        (header(V4, command=0x22), "version and command are 0x22"),
        (header(bytes(MAX_BODY + 1)), f"limit is {MAX_BODY}"),
        (header(V4, 0x41), "0x41, which is reserved"),
        (header(V4, 0x13), "0x13, which is reserved"),
        (header(V4[:-1]), "11 bytes, this family has 12"),
        (header(V4, 0x21), "12 bytes, this family has 36"),
        (header(V4, 0x31), "12 bytes, this family has 216"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule(wrong: bytes, why: str) -> None:
    with pytest.raises(ProxyError, match=why):
        read(wrong)


def read(whole: bytes) -> Forwarded | None:
    assert missing(whole) == 0
    return parse(whole)


@given(st.binary(max_size=64), st.integers(min_value=0, max_value=300))
def test_no_byte_is_asked_for_beyond_the_header(more: bytes, cut: int) -> None:
    whole = header(V4 + more)
    begun = whole[: min(cut, len(whole))]
    while wanted := missing(begun):
        begun += whole[len(begun) : len(begun) + wanted]
    assert begun == whole


@given(st.binary(max_size=400).map(lambda rest: SIGNATURE + rest))
def test_any_bytes_are_a_header_or_refused(data: bytes) -> None:
    try:
        if missing(data) == 0 and len(data) >= FIXED:
            parse(data)
    except ProxyError:
        pass


# -- over sockets


async def test_the_peer_is_who_the_proxy_says_and_never_local() -> None:
    async with house(mqtt=PROXIED) as here, connected(here.ports["mqtt"]) as line:
        line[1].write(header(V4) + b"and more\n")
        peer = await greeting(line)
        assert (peer.address, peer.port, peer.local, peer.secure) == ("192.0.2.7", 4711, False, False)
        assert await line[0].readline() == b"and more\n"  # not a byte is lost or taken twice


async def test_a_header_that_names_loopback_makes_nobody_local() -> None:
    body = bytes([127, 0, 0, 1, 127, 0, 0, 1]) + struct.pack(">HH", 1, 2)
    async with house(mqtt=PROXIED) as here, connected(here.ports["mqtt"]) as line:
        line[1].write(header(body))
        peer = await greeting(line)
        assert (peer.address, peer.local) == ("127.0.0.1", False)


async def test_the_proxys_own_look_is_served_and_not_local() -> None:
    async with house(mqtt=PROXIED) as here, connected(here.ports["mqtt"]) as line:
        line[1].write(header(b"", 0x00, 0x20))
        peer = await greeting(line)
        assert (peer.address, peer.local) == ("127.0.0.1", False)


async def test_a_header_may_come_byte_by_byte() -> None:
    async with house(mqtt=PROXIED) as here, connected(here.ports["mqtt"]) as line:
        line[1].get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header(V4 + b"\x04\x00\x03abc"):
            line[1].write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await greeting(line)).address == "192.0.2.7"


async def test_tls_begins_behind_the_header_even_in_the_same_packet(
    authority: Authority, node_files: CertificateFiles
) -> None:
    listener = ListenerConfig("mqtt", tls=TlsConfig((node_files,)), proxy_protocol_from=("127.0.0.1/32",))
    async with house(mqtts=listener) as here:
        peer = await asyncio.to_thread(peer_through, here.ports["mqtts"], trusting(str(authority.file)))
    assert b'"address":"192.0.2.7"' in peer
    assert b'"local":false,"secure":true' in peer


def peer_through(port: int, context: ssl.SSLContext) -> bytes:
    """Send the header and TLS's first flight in one piece, then go on; return the gateway's line."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context.wrap_bio(incoming, outgoing, server_hostname="node.test")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        begin = header(V4)
        while True:
            try:
                line = secured.read(4096)
            except ssl.SSLWantReadError:
                sock.sendall(begin + outgoing.read())
                begin = b""
                incoming.write(sock.recv(65_536))
            else:
                return line


@pytest.mark.parametrize(
    "wrong",
    [b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0", b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n", header(V4, 0x13)],
)
async def test_a_listed_proxy_without_a_proper_header_is_closed_without_a_word(wrong: bytes) -> None:
    async with house(mqtt=PROXIED) as here, connected(here.ports["mqtt"]) as line:
        line[1].write(wrong)
        assert await ended(line)
        assert here.count("mqtt.proxy_headers_refused") == 1


async def test_a_header_that_comes_too_late_or_never_ends_its_connection() -> None:
    async with house(AcceptConfig(first_byte_timeout=0.05), mqtt=PROXIED) as here:
        async with connected(here.ports["mqtt"]) as silent, connected(here.ports["mqtt"]) as slow:
            slow[1].write(SIGNATURE)
            assert await ended(silent)
            assert await ended(slow)
        await here.until("mqtt.proxy_headers_late", 2)
        async with connected(here.ports["mqtt"]) as gone:
            gone[1].write(SIGNATURE)
            gone[1].write_eof()
            assert await ended(gone)
        await here.until("mqtt.proxy_hung_up")


async def test_from_others_a_header_is_bytes_like_any_and_changes_nobody() -> None:
    async with house(mqtt=FOREIGN) as here, connected(here.ports["mqtt"]) as line:
        line[1].write(header(V4))
        peer = await greeting(line)
        assert (peer.address, peer.local) == ("127.0.0.1", True)
        assert await line[0].readexactly(len(header(V4))) == header(V4)


# -- a real proxy

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")

HAPROXY = """\
global
  stats timeout 10s
defaults
  mode tcp
  timeout connect 10s
  timeout client 10s
  timeout server 10s
frontend in
  bind fd@{fd}
  default_backend out
backend out
  server node 127.0.0.1:{port} send-proxy-v2 {more}
"""


@asynccontextmanager
async def haproxy(folder: Path, port: int, more: str = "") -> AsyncGenerator[int]:
    """Run a proxy before a port; yield its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        file = folder / "haproxy.cfg"
        text = HAPROXY.format(fd=listener.fileno(), port=port, more=more)
        await asyncio.to_thread(file.write_text, text)
        process = await asyncio.create_subprocess_exec(
            "haproxy", "-q", "-db", "-f", str(file), pass_fds=(listener.fileno(),)
        )
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            await process.wait()


@needs_haproxy
async def test_haproxy_says_who_is_behind_it(tmp_path: Path) -> None:
    async with (
        house(mqtt=PROXIED) as here,
        haproxy(tmp_path, here.ports["mqtt"]) as port,
        connected(port) as line,
    ):
        ours = line[1].get_extra_info("sockname")
        line[1].write(b"hello\n")
        peer = await greeting(line)
        assert (peer.address, peer.port, peer.local) == (ours[0], ours[1], False)
        assert await line[0].readline() == b"hello\n"


@needs_haproxy
async def test_haproxy_passes_tls_through_to_the_node(
    authority: Authority, node_files: CertificateFiles, tmp_path: Path
) -> None:
    listener = ListenerConfig("mqtt", tls=TlsConfig((node_files,)), proxy_protocol_from=("127.0.0.1/32",))
    async with (
        house(mqtts=listener) as here,
        haproxy(tmp_path, here.ports["mqtts"]) as port,
        connected(port, trusting(str(authority.file)), "node.test") as line,
    ):
        peer = await greeting(line)
        assert (peer.port, peer.local) == (line[1].get_extra_info("sockname")[1], False)
        assert peer.secure


@needs_haproxy
async def test_haproxys_health_checks_come_in_as_its_own(tmp_path: Path) -> None:
    seen: list[bool] = []

    class Looked(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            seen.append(True)

    async with house(make=Looked, mqtt=PROXIED) as here:
        async with haproxy(tmp_path, here.ports["mqtt"], "check check-send-proxy inter 50ms"):
            async with asyncio.timeout(PATIENCE):
                while len(seen) < 2:  # noqa: ASYNC110 -- the proxy's own pace
                    await asyncio.sleep(0.005)
        assert here.count("mqtt.proxy_headers_refused") == 0
