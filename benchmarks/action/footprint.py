"""How fast the I/O process starts, and what the node's processes weigh when nothing happens."""

import socket
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from benchmarks.rig.native import HERE
from benchmarks.rig.processes import BenchError, process, rss_bytes
from benchmarks.rig.servers import START, rimward
from rimward.edge.config import NodeConfig

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01b"


def ready_ms(python: str | Path = sys.executable) -> float:
    """Start the I/O process as the supervisor does; return ms until a waiting device has its CONNACK."""
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        listeners = [stack.enter_context(closing(_listener())) for _ in range(2)]
        config = Path(data) / "node.json"
        config.write_bytes(msgspec.json.encode(NodeConfig(app=str(HERE / "app.py"), data=data)))
        device = stack.enter_context(socket.create_connection(listeners[0].getsockname(), timeout=START))
        device.sendall(CONNECT)
        fds = [listener.fileno() for listener in listeners]
        doors = ["--fd", f"mqtt={fds[0]}", "--fd", f"http={fds[1]}"]
        command = [python, "-m", "rimward.edge", config, *doors]
        started = time.monotonic_ns()
        stack.enter_context(process(command, fds=fds))
        answer = device.recv(4)
        took = time.monotonic_ns() - started
    if answer != b"\x20\x02\x00\x00":
        raise BenchError(f"the I/O process answered {answer!r} to CONNECT")
    return took / 1e6


def idle_mb() -> dict[str, float]:
    """Return each process's resident memory in MB once `rimward dev` has settled."""
    with rimward() as server:
        time.sleep(1.0)
        return {name: rss_bytes(pid) / 1e6 for name, pid in server.pids.items()}


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener
