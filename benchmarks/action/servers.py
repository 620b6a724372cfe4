"""What is measured: each server runs the same rule, in processes of its own on the servers' CPU.

`with NAME() as server:` starts one that answers; `server.port` is its MQTT port.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.action.native import HERE, PEERS, Load, build, drive
from benchmarks.action.processes import BenchError, line_of, process

PROBE = Load(connections=1, in_flight=1, qos=0, rate=0, warm_ms=1, measure_ms=40)
START = 30.0  # seconds that a server gets until it answers


class Server(Struct):
    """A server that answers."""

    port: int
    pids: dict[str, int]  # by what they are
    counted: tuple[str, ...]  # whose CPU time an event costs

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
def rimward() -> Generator[Server]:
    """Run the app as a user does: `rimward dev app.py`."""
    script = Path(sys.executable).with_name("rimward")
    with ExitStack() as stack:
        data = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        ports = [option for name in ("mqtt", "http", "console") for option in (f"--{name}", "0")]
        command = [script, "dev", HERE / "app.py", "--json", "--data", data, *ports]
        log = stack.enter_context((Path(data) / "dev.log").open("wb"))
        child = stack.enter_context(process(command, log=log))
        try:
            ready: dict[str, Any] = msgspec.json.decode(line_of(child, START))["ready"]
        except (BenchError, msgspec.MsgspecError) as error:
            said = (Path(data) / "dev.log").read_text(errors="replace")
            raise BenchError(f"rimward dev did not start: {error}\n{said}") from None
        pids = {name: pid for name, pid in ready["pids"].items() if pid is not None}
        node = tuple(name for name in ("supervisor", "node", "deep") if name in pids)
        server = Server(ready["mqtt"], {"dev": child.pid, **pids}, node)
        _wait(server)
        yield server


@contextmanager
def node_red() -> Generator[Server]:
    """Run mosquitto, and the rule in Node-RED's function node beside it."""
    program = install_node_red()
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


SERVERS = {
    "rimward": rimward,
    "responder": responder,
    "mosquitto+node-red": node_red,
    "mosquitto+paho": paho,
}


@contextmanager
def mosquitto() -> Generator[Server]:
    """Run the broker alone."""
    program = install_mosquitto()
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        port = _free_port()
        config = Path(data) / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n"
            "set_tcp_nodelay true\nmax_inflight_messages 0\nmax_queued_messages 0\nuser root\n"
        )
        with process([program, "-c", config]) as child:
            yield Server(port, {"mosquitto": child.pid}, ("mosquitto",))


def install_mosquitto() -> str:
    """Return mosquitto's path; root on Debian gets it installed.

    Raises:
        BenchError: it is not there and can't be installed.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    program = shutil.which("mosquitto", path=path)
    if program is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = "apt-get install -qq -y --no-install-recommends mosquitto"
        script = f"{install} || {{ apt-get update -qq && {install}; }}"
        subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        program = shutil.which("mosquitto", path=path)
    if program is None:
        raise BenchError("this needs mosquitto: ask your administrator for 'apt-get install mosquitto'")
    return program


def install_node_red() -> Path:
    """Return Node-RED's start script, installed from the lock file beside this one.

    Raises:
        BenchError: there is no npm, or it fails.
    """
    folder = PEERS / "node-red"
    program = folder / "node_modules" / "node-red" / "red.js"
    lock = HERE / "peers" / "package-lock.json"
    stamp = folder / "package-lock.json"
    if program.exists() and stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return program
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("this needs npm for Node-RED: ask your administrator for 'apt-get install npm'")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "peers" / name, folder)
    print("bench: installing Node-RED", file=sys.stderr)
    command = [
        npm,
        "ci",
        "--omit=optional",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]
    if subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False).returncode:
        stamp.unlink()
        raise BenchError("npm could not install Node-RED")
    return program


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


def _free_port() -> int:
    """Return a port that was free a moment ago, for servers that can't choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
