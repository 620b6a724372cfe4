"""A whole node behind its listeners, with clients that others wrote: openssl, curl, mosquitto."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from rimward.app.loading import load
from rimward.edge.config import NodeConfig
from rimward.edge.gateways.listening.config import CertificateFiles, ListenerConfig, TlsConfig
from rimward.edge.node import Node

from .pki import Authority
from .support import PATIENCE, connected, trusting

APP = """\
from rimward import App, http, mqtt
app = App("door", compat="2026-11-01")
@app.edge(mqtt("say/{name}"))
def say(name: str, payload: bytes) -> None:
    app.publish(f"heard/{name}", payload)
@app.edge(http.post("/say/{name}"))
def post(name: str, payload: bytes) -> str:
    return f"{name}: {len(payload)}"
"""
needs = {
    program: pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
    for program in ("curl", "mosquitto_pub")
}


@asynccontextmanager
async def node(folder: Path, **listeners: ListenerConfig) -> AsyncGenerator[tuple[Node, dict[str, int]]]:
    """Run a node; yield it and the ports of those listeners that have one."""
    app = folder / "app.py"
    app.write_text(APP)
    config = NodeConfig(app=str(app), data=str(folder), listeners=listeners)
    sockets = {
        name: socket.create_server(("127.0.0.1", 0)) for name, one in listeners.items() if not one.address
    }
    ports = {name: sock.getsockname()[1] for name, sock in sockets.items()}
    async with Node(load(str(app)), config) as running:
        await running.listen(sockets)
        yield running, ports


async def run(*command: str) -> tuple[int | None, str]:
    """Run a command to its end; return its exit code and all it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()


def mutual(files: CertificateFiles, authority: Authority) -> TlsConfig:
    return TlsConfig((files,), client_ca=str(authority.file), client_certificates="required")


@needs["curl"]
async def test_curl_posts_over_tls_with_its_certificate_and_is_told_why_without(
    authority: Authority, node_files: CertificateFiles, truck_files: CertificateFiles, tmp_path: Path
) -> None:
    https = ListenerConfig("http", tls=mutual(node_files, authority))
    async with node(tmp_path, https=https) as (running, ports):
        url = f"https://localhost:{ports['https']}/say/you"
        common = ("curl", "-sS", "--cacert", str(authority.file), "--data-binary", "x" * 50_000, url)
        own = ("--cert", truck_files.certificate, "--key", truck_files.key)
        assert await run(*common, *own) == (0, "you: 50000")
        code, text = await run(*common)
        assert code != 0
        assert "certificate required" in text
        figures = running.health.snapshot().gateways["listening"]
        assert figures["https.handshakes"] == 1
        assert figures["https.handshake_peer_did_not_return_a_certificate"] == 1
        assert figures["https.certificate_expires"] > 1_700_000_000


@needs["mosquitto_pub"]
async def test_mosquitto_asks_over_tls_and_is_answered(
    authority: Authority, node_files: CertificateFiles, truck_files: CertificateFiles, tmp_path: Path
) -> None:
    mqtts = ListenerConfig("mqtt", tls=mutual(node_files, authority))
    async with node(tmp_path, mqtts=mqtts) as (_, ports):
        tls = ("--cafile", str(authority.file), "--cert", truck_files.certificate, "--key", truck_files.key)
        common = ("-h", "localhost", "-p", str(ports["mqtts"]), "-V", "mqttv5", *tls)
        said = "y" * 30_000
        asked = await run("mosquitto_rr", *common, "-t", "say/you", "-e", "heard/you", "-m", said)
        assert asked == (0, said + "\n")


@needs["curl"]
@needs["mosquitto_pub"]
async def test_unix_sockets_speak_http_and_mqtt(tmp_path: Path) -> None:
    web, bus = tmp_path / "http.sock", tmp_path / "mqtt.sock"
    listeners = {
        "web": ListenerConfig("http", f"unix:{web}"),
        "bus": ListenerConfig("mqtt", f"unix:{bus}"),
    }
    async with node(tmp_path, **listeners) as (running, _):
        ask = ("curl", "-sS", "--unix-socket", str(web), "-d", "hello", "http://localhost/say/you")
        assert await run(*ask) == (0, "you: 5")
        say = ("mosquitto_pub", "--unix", str(bus), "-t", "say/you", "-m", "hello", "-q", "1", "-V", "5")
        assert (await run(*say))[0] == 0
        assert running.dispatcher.functions["say"].figures.stats().calls == 1


async def test_a_goodbye_over_tls_is_read_to_its_end(
    authority: Authority, node_files: CertificateFiles, tmp_path: Path
) -> None:
    listeners = {
        "mqtts": ListenerConfig("mqtt", tls=TlsConfig((node_files,))),
        "https": ListenerConfig("http", tls=TlsConfig((node_files,))),
    }
    client = trusting(str(authority.file))
    async with node(tmp_path, **listeners) as (_, ports), asyncio.timeout(PATIENCE):
        async with connected(ports["https"], client, "node.test") as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n" + b"x" * 100_000)
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        async with connected(ports["mqtts"], client, "node.test") as (reader, writer):
            writer.write(b"\x10\x0d\0\4MQTT\5\2\0\x3c\0\0\0" + b"\xf0\0" * 50_000)  # AUTH out of place
            answer = await reader.read()
            assert answer[:1] == b"\x20"
            assert b"\xe0" in answer  # DISCONNECT, with its reason


async def test_a_signal_reads_certificates_again_in_the_real_process(
    authority: Authority, copied: CertificateFiles, tmp_path: Path
) -> None:
    from .conftest import replace

    renewed = await asyncio.to_thread(authority.issue, "again", "node.test", days=90)
    app = tmp_path / "app.py"
    path = tmp_path / "mqtt.sock"
    config = NodeConfig(
        app=str(app),
        data=str(tmp_path),
        listeners={"mqtts": ListenerConfig("mqtt", f"unix:{path}", tls=TlsConfig((copied,)))},
    )
    await asyncio.to_thread(app.write_text, APP)
    await asyncio.to_thread((tmp_path / "node.json").write_bytes, msgspec.json.encode(config))
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rimward.edge", str(tmp_path / "node.json"), "--ready", str(write),
        pass_fds=(write,), stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        assert await asyncio.to_thread(os.read, read, 3) == b"{}\n"
        first = await end_of(path, authority)
        await asyncio.to_thread(replace, copied, renewed)
        process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while await end_of(path, authority) == first:  # noqa: ASYNC110 -- another process tells nobody
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
        assert not await asyncio.to_thread(path.exists)
    finally:
        os.close(read)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def end_of(path: Path, authority: Authority) -> str:
    """Return until when the certificate is good that a newcomer is shown."""
    _, writer = await asyncio.open_unix_connection(
        str(path), ssl=trusting(str(authority.file)), server_hostname="node.test"
    )
    shown = writer.get_extra_info("peercert")
    writer.transport.abort()
    return str(shown["notAfter"])
