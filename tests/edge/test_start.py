"""What a node imports before its first CONNACK: imports are most of its start."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from rimward.edge.config import NodeConfig
from rimward.edge.gateways.listening.config import ListenerConfig

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01b"
CONNACK = b"\x20\x02\x00\x00"
APP = """
from rimward import App, mqtt

app = App("start", compat="2026-11-01")


@app.edge(mqtt("{device}/reading"))
def read(device: str, celsius: float) -> None:
    pass
"""
# ends as the process does, and tells what was imported until then
TELLS = """
import atexit, sys
from rimward.edge.__main__ import main

atexit.register(lambda: print(*sorted(sys.modules)))
sys.exit(main(sys.argv[1:]))
"""
# what each is for: passwords, tokens, keys, frames, bodies, the deep path, packages' data, the access file
NOT_YET = (
    "argon2", "jwt", "cryptography", "cffi", "websockets", "zstandard", "cbor2", "nats", "importlib.metadata",
    "email", "zipfile", "tempfile", "tomllib", "argparse", "multiprocessing", "xml", "unittest",
    "rimward.cli", "rimward.cloud", "rimward.edge.deep", "rimward.testing", "rimward.local",
    "rimward.edge.gateways.coap", "rimward.protocols.coap", "rimward.protocols.websocket",
    "rimward.edge.access.book", "rimward.edge.access.file", "rimward.edge.access.tokens",
    "rimward.edge.gateways.listening.secure", "rimward.edge.gateways.listening.tls",
    "rimward.protocols.mqtt.client",
)  # fmt: skip


def imported(folder: Path, listeners: dict[str, ListenerConfig]) -> set[str]:
    """Return what a node has imported when a device that waited for it has its CONNACK."""
    (folder / "app.py").write_text(APP)
    config = NodeConfig(app=str(folder / "app.py"), data=str(folder), listeners=listeners)
    (folder / "node.json").write_bytes(msgspec.json.encode(config))
    with ExitStack() as stack:
        sockets = {
            name: stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            for name in ("mqtt", "http")
        }
        device = stack.enter_context(socket.create_connection(sockets["mqtt"].getsockname(), timeout=60))
        device.sendall(CONNECT)
        doors = [f"--fd={name}={sock.fileno()}" for name, sock in sockets.items()]
        child = subprocess.Popen(
            [sys.executable, "-c", TELLS, folder / "node.json", *doors],
            pass_fds=[sock.fileno() for sock in sockets.values()],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            assert device.recv(4) == CONNACK
        finally:
            child.send_signal(signal.SIGTERM)
            told, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return set(told.decode().split())


def test_a_plain_node_imports_nothing_before_its_first_connack_that_it_does_not_need(tmp_path: Path) -> None:
    found = imported(tmp_path, {})
    assert "rimward.edge.gateways.mqtt.gateway" in found
    assert [name for name in NOT_YET if name in found] == []


def test_a_node_imports_coap_where_a_listener_speaks_it(tmp_path: Path) -> None:
    found = imported(tmp_path, {"meters": ListenerConfig("coap", "127.0.0.1:0")})
    assert "rimward.edge.gateways.coap" in found
