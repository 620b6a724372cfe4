"""What is measured: each server runs the same rule, in processes of its own on the servers' CPU.

`with NAME() as server:` starts one that answers; `server.port` is its MQTT port.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.rig.compiling import compiled_package
from benchmarks.rig.installing import debian, npm
from benchmarks.rig.native import HERE, Load, build, drive
from benchmarks.rig.processes import SERVER_CPU, BenchError, line_of, process

PROBE = Load(connections=1, in_flight=1, qos=0, rate=0, warm_ms=1, measure_ms=40)
START = 30.0  # seconds that a server gets until it answers


class Server(Struct):
    """A server that answers."""

    port: int
    pids: dict[str, int]  # by what they are
    counted: tuple[str, ...]  # whose CPU time an event costs
    http: int = 0  # its HTTP port, where it has one

    def counted_pids(self) -> list[int]:
        """Return the pids whose CPU time counts."""
        return [self.pids[name] for name in self.counted]


@contextmanager
def responder(threshold: float = 30.0) -> Generator[Server]:
    """Run the C epoll loop: the least that can be done."""
    with process([build("responder"), str(threshold)]) as child:
        port = int(line_of(child, START))
        yield Server(port, {"responder": child.pid}, ("responder",))


@contextmanager
def rimward(
    *,
    app: Path = HERE / "app.py",
    package: Path | None = None,
    probe: bool = True,
    cpu: int | None = SERVER_CPU,
) -> Generator[Server]:
    """Run the app as a user does: `rimward dev app.py`, of this checkout or of an installed package.

    `probe`: its app answers readings, and it is waited for until it does. `cpu`: None for all.
    """
    env = {} if package is None else {"PYTHONPATH": str(package)}
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        ports = [option for name in ("mqtt", "http", "console") for option in (f"--{name}", "0")]
        command = [sys.executable, "-m", "rimward", "dev", app, "--json", "--data", data, *ports]
        log = stack.enter_context((Path(data) / "dev.log").open("wb"))
        child = stack.enter_context(process(command, log=log, env=env, cpu=cpu))
        try:
            ready: dict[str, Any] = msgspec.json.decode(line_of(child, START))["ready"]
        except (BenchError, msgspec.MsgspecError) as error:
            said = (Path(data) / "dev.log").read_text(errors="replace")
            raise BenchError(f"rimward dev did not start: {error}\n{said}") from None
        pids = {name: pid for name, pid in ready["pids"].items() if pid is not None}
        node = tuple(name for name in ("supervisor", "node", "deep") if name in pids)
        server = Server(ready["mqtt"], {"dev": child.pid, **pids}, node, ready["http"])
        if probe:
            _wait(server)
        yield server


@contextmanager
def node_red() -> Generator[Server]:
    """Run mosquitto, and the rule in Node-RED's function node beside it."""
    program = npm("node-red", "--omit=optional") / "node_modules" / "node-red" / "red.js"
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto())
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        flows = Path(data) / "flows.json"
        shutil.copy(HERE / "peers" / "flows.json", flows)
        node = shutil.which("node") or "node"
        command: list[str | Path] = [node, "--require", HERE / "peers" / "nodelay.cjs", program]
        command += ["--settings", HERE / "peers" / "settings.cjs", "--userDir", data, flows]
        child = stack.enter_context(process(command, env={"BROKER_PORT": str(broker.port)}))
        server = Server(broker.port, {**broker.pids, "node-red": child.pid}, ("mosquitto", "node-red"))
        _wait(server)
        yield server


@contextmanager
def paho() -> Generator[Server]:
    """Run mosquitto, and the rule in a Python process with paho beside it."""
    with (
        mosquitto() as broker,
        process([sys.executable, HERE / "peers" / "rule.py", str(broker.port)]) as child,
    ):
        server = Server(broker.port, {**broker.pids, "rule": child.pid}, ("mosquitto", "rule"))
        _wait(server)
        yield server


@contextmanager
def aedes() -> Generator[Server]:
    """Run aedes with the rule in its own process, as Rimward has it."""
    folder = npm("aedes", "--omit=optional")
    with process([shutil.which("node") or "node", HERE / "peers" / "aedes.cjs", folder]) as child:
        server = Server(int(line_of(child, START)), {"aedes": child.pid}, ("aedes",))
        _wait(server)
        yield server


@contextmanager
def nats() -> Generator[Server]:
    """Run nats-server's MQTT, and the rule in a Python process with nats-py beside it."""
    program = Path(sys.executable).with_name("nats-server")
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        mqtt, port = free_port(), free_port()
        config = Path(data) / "nats.conf"
        config.write_text(
            f'server_name: bench\nlisten: "127.0.0.1:{port}"\njetstream {{ store_dir: "{data}" }}\n'
            f'mqtt {{ listen: "127.0.0.1:{mqtt}" }}\n'
        )
        broker = stack.enter_context(process([program, "-c", config]))
        listens(mqtt)
        rule = [sys.executable, HERE / "peers" / "nats_rule.py", str(port)]
        child = stack.enter_context(process(rule))
        server = Server(mqtt, {"nats": broker.pid, "rule": child.pid}, ("nats", "rule"))
        _wait(server)
        yield server


@contextmanager
def compiled() -> Generator[Server]:
    """Run the wheel that mypyc made of this checkout, in the same way."""
    with rimward(package=compiled_package()) as server:
        maps = Path(f"/proc/{server.pids['node']}/maps").read_text()
        if "__mypyc" not in maps:
            raise BenchError("the node of the compiled wheel runs no compiled module")
        yield server


SERVERS: dict[str, Callable[[], AbstractContextManager[Server]]] = {
    "rimward": rimward,
    "compiled": compiled,
    "aedes": aedes,
    "nats+nats-py": nats,
    "responder": responder,
    "mosquitto+node-red": node_red,
    "mosquitto+paho": paho,
}


@contextmanager
def mosquitto() -> Generator[Server]:
    """Run the broker alone."""
    program = debian("mosquitto", "mosquitto")
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        port = free_port()
        config = Path(data) / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n"
            "set_tcp_nodelay true\nmax_inflight_messages 0\nmax_queued_messages 0\nuser root\n"
        )
        with process([program, "-c", config]) as child:
            listens(port)
            yield Server(port, {"mosquitto": child.pid}, ("mosquitto",))


def _wait(server: Server) -> None:
    """Return when a reading gets its command back."""
    end = time.monotonic() + START
    while time.monotonic() < end:
        try:
            if drive(server.port, PROBE, subprocess.DEVNULL).events:
                return
        except BenchError:
            time.sleep(0.05)  # not listening yet
    raise BenchError(f"nothing answers on port {server.port}")


def listens(port: int) -> None:
    """Return when something listens on a port."""
    end = time.monotonic() + START
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise BenchError(f"nothing listens on port {port}")


def free_port() -> int:
    """Return a port that was free a moment ago, for servers that can't choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
