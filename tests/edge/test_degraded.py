"""A node without anything: no hub, no bus, and a clock that says 1970. It acts, and nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from rimward.edge.api import read_account
from rimward.edge.config import NodeConfig
from rimward.observe.faults import Fault, inject
from rimward.protocols.mqtt import Connect, Publish, Subscribe, Subscription, encode
from rimward.wire import Row

from .outbox.outbox_support import query

FIRST_ACTION = 3.0  # seconds from the start
APP = """
from msgspec import Struct
from rimward import App, mqtt

app = App("cold", compat="2026-11-01")


@app.fact
class Warm(Struct):
    device: str


@app.edge(mqtt("{device}/reading"))
def read(device: str, celsius: float) -> None:
    app.publish(f"{device}/chiller", {"mode": "max"})
    app.forward(Warm(device))
"""


def test_a_node_of_1970_without_hub_or_bus_acts_at_once_and_keeps_its_rows_for_later(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    config = NodeConfig(app=str(tmp_path / "app.py"), data=str(tmp_path))
    (tmp_path / "node.json").write_bytes(msgspec.json.encode(config))
    now = time.time_ns()
    inject(tmp_path, "clock", Fault(now, now + 3600 * 10**9, "1970", offset=60 * 10**9 - now))
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        device = stack.enter_context(socket.create_connection(server.getsockname(), timeout=60))
        for packet in (
            Connect("d"),
            Subscribe(1, (Subscription("d/chiller", 0),)),
            Publish("d/reading", b"9.5", 1, packet_id=1),
        ):
            device.sendall(encode(packet, 4))
        config_file, fd = str(tmp_path / "node.json"), f"--fd=mqtt={server.fileno()}"
        command = [sys.executable, "-m", "rimward.edge", config_file, fd]
        node = subprocess.Popen(command, pass_fds=[server.fileno()])
        try:
            seen = b""
            while b'{"mode":"max"}' not in seen or b"\x40\x02\x00\x01" not in seen:  # the action and PUBACK
                data = device.recv(4096)
                assert data, "the node closed the connection"
                seen += data
        finally:
            node.send_signal(signal.SIGTERM)
            usage = os.wait4(node.pid, 0)[2]
            node.returncode = 0
    (body,) = query(tmp_path / "node", "select body from chunk where fact = 'warm'")[0]
    row = msgspec.msgpack.decode(body, type=Row)
    assert (row.received, row.time, row.clock) == (None, None, "unsynced")
    assert row.mono is not None
    account = read_account(tmp_path)
    assert account is not None
    assert {lane.lane: lane.forwarded for lane in account.lanes} == {"warm": 1, "_clock": 1}
    assert usage.ru_utime + usage.ru_stime < FIRST_ACTION, "of work, on a machine that nobody else uses"
