"""A hub and nodes as machines: each has a supervisor and processes of its own, all of them real.

Every process has a plan of failpoints, a file that a test writes while it runs (docs/failpoints.md).
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import msgspec

from rimward.app.loading import load
from rimward.app.manifest import Manifest, encode
from rimward.cloud.bus import BusUser, write_config
from rimward.cloud.config import HubConfig
from rimward.edge.config import NodeConfig, OutboxConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.gateways.listening.config import ListenerConfig
from rimward.local.plan import BACKGROUND, installed
from rimward.observe.failpoints import VARIABLE

SRC = Path(__file__).parents[2] / "src"
PATIENCE = 60.0  # seconds that anything may take before a test gives up; never a measure of speed
REGION = "local"
PLACED = re.compile(r"""\breach\(\s*["']([a-z.-]+)["']""")


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(0.02)


def placed() -> set[str]:
    """Return the names of all failpoints in the source."""
    return {name for file in SRC.rglob("*.py") for name in PLACED.findall(file.read_text())}


class Machine:
    """A supervisor and what it runs."""

    def __init__(self, folder: Path, name: str, env: dict[str, str]) -> None:
        self.folder = folder
        self.name = name
        self._env = env
        self._state = folder / "run" / "processes.json"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "run").mkdir(parents=True, exist_ok=True)

    def write(self, processes: list[dict[str, Any]], listeners: dict[str, object] | None = None) -> None:
        """Say what it is to run."""
        for one in processes:
            one["env"] = self._env | {VARIABLE: f"@{self.plan(one['name'])}"}
        spec = {
            "logs": str(self.folder / "logs"),
            "state": str(self._state),
            "listeners": listeners or {},
            "processes": processes,
        }
        (self.folder / "run" / "supervisor.json").write_text(json.dumps(spec))

    def plan(self, process: str) -> Path:
        """Return the file that arms a process's failpoints."""
        return self.folder / "run" / f"{process}.plan"

    def arm(self, process: str, text: str) -> None:
        """Arm a process that runs."""
        draft = self.folder / "run" / "plan.new"
        draft.write_text(text)
        draft.rename(self.plan(process))

    def disarm(self, process: str) -> None:
        """Take its plan away, if it is there."""
        self.plan(process).unlink(missing_ok=True)

    def reached(self, process: str) -> list[str]:
        """Return the failpoints at which it has died."""
        file = self.plan(process).with_name(f"{process}.plan.reached")
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []

    def start(self) -> None:
        """Start the supervisor; what it runs may take a moment."""
        spec = str(self.folder / "run" / "supervisor.json")
        with (self.folder / "supervisor.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rimward_supervisor", spec], stdin=subprocess.PIPE, stdout=log,
                stderr=log, env=os.environ | self._env,
            )  # fmt: skip

    def states(self) -> dict[str, dict[str, Any]]:
        """Return what the supervisor writes of its processes."""
        with suppress(OSError, ValueError):
            return json.loads(self._state.read_text())
        return {}

    def runs(self, process: str) -> bool:
        """Tell whether a process is there and ready."""
        return bool(self.states().get(process, {}).get("state") == "ready")

    def pid(self, process: str) -> int | None:
        """Return a process's pid; "supervisor" is one too."""
        if process == "supervisor":
            return self._process.pid if self._process else None
        return self.states().get(process, {}).get("pid")

    def wait(self) -> None:
        """Wait until everything is ready."""
        until(
            lambda: bool(states := self.states()) and all(one["state"] == "ready" for one in states.values()),
            f"everything of {self.name} is ready",
        )

    def kill(self, process: str) -> bool:
        """Kill -9 a process, whatever state it is in; return False where it does not run at the moment.

        The supervisor takes its processes with it and is started again.
        """
        pid = self.pid(process)
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: dead(pid), f"{process} of {self.name} is dead")
        if process == "supervisor":
            self.reap()
            self.start()
        return True

    def reap(self) -> None:
        """Wait for a supervisor that was killed, and for what dies with it."""
        assert self._process is not None
        pids = [one.get("pid") for one in self.states().values()]
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        until(lambda: all(dead(pid) for pid in pids if pid), f"{self.name} is dead")
        self._state.unlink(missing_ok=True)

    def cut(self) -> None:
        """Kill everything at once, without a word."""
        if self._process is not None:
            self._process.kill()
            self.reap()
            self._process = None


def uplink(node: Machine) -> dict[str, Any]:
    """Return what a node's deep process says of itself."""
    with suppress(OSError, ValueError):
        return json.loads((node.folder / "node" / "uplink.json").read_text())
    return {}


class Fleet:
    """One hub, some nodes, one app."""

    def __init__(
        self,
        folder: Path,
        app: Path,
        *,
        nodes: int = 3,
        env: Callable[[str], dict[str, str]] = lambda _: {},
        outbox: Sequence[OutboxConfig] = (OutboxConfig(),),
        hub: dict[str, Any] | None = None,
    ) -> None:
        """`env` is a machine's, by name; `outbox` the nodes' in turn; `hub` more of its configuration."""
        self.folder = folder
        self.manifest: Manifest = load(str(app)).manifest()
        self.ports: list[int] = []
        self._app = app
        self._names = [f"n{number}" for number in range(1, nodes + 1)]
        self.hub = Machine(folder / "hub", "hub", env("hub"))
        self.nodes: list[Machine] = [Machine(folder / name, name, env(name)) for name in self._names]
        self._bus_port = _free_port()
        self._write_hub(hub or {})
        for number, node in enumerate(self.nodes):
            self._write_node(node, outbox[number % len(outbox)])

    @property
    def machines(self) -> list[Machine]:
        """Every machine, the hub first."""
        return [self.hub, *self.nodes]

    def _write_hub(self, more: dict[str, Any]) -> None:
        run, binary = self.hub.folder / "run", installed().bus
        assert binary is not None
        users = write_config(run / "bus.conf", self.hub.folder / "bus", self._bus_port, self._names, REGION)
        self.users: dict[str, BusUser] = users
        self.url: str = f"nats://127.0.0.1:{self._bus_port}"
        (run / "manifest.json").write_bytes(encode(self.manifest))
        config = HubConfig(
            data=str(self.hub.folder), manifest=str(run / "manifest.json"), app=str(self._app),
            bus_url=self.url, user=users["hub"].user, password=users["hub"].password, region=REGION, **more,
        )  # fmt: skip
        (run / "hub.json").write_bytes(msgspec.json.encode(config))
        bus = {"name": "bus", "argv": [binary, "-c", str(run / "bus.conf")]}
        hub = str(run / "hub.json")
        self.hub.write(
            [
                bus | {"connect": ["127.0.0.1", self._bus_port]},
                _python("hub", "rimward.cloud", hub),
                _python("ingest", "rimward.cloud.ingest.ingesting", hub),
            ]
        )

    def _write_node(self, node: Machine, outbox: OutboxConfig) -> None:
        run, user = node.folder / "run", self.users[node.name]
        port = _free_port()
        self.ports.append(port)
        listeners = {"mqtt": ListenerConfig("mqtt", f"127.0.0.1:{port}")}
        config = NodeConfig(
            app=str(self._app), data=str(node.folder), node=node.name, region=REGION,
            digest=self.manifest.digest, listeners=listeners, outbox=outbox,
        )  # fmt: skip
        (run / "node.json").write_bytes(msgspec.json.encode(config))
        deep = DeepConfig(
            data=str(node.folder), bus_url=self.url, user=user.user, password=user.password, node=node.name,
            region=REGION,
        )  # fmt: skip
        (run / "deep.json").write_bytes(msgspec.json.encode(deep))
        node.write(
            [
                _python("deep", "rimward.edge.deep", str(run / "deep.json")) | BACKGROUND,
                _python("node", "rimward.edge", str(run / "node.json"), "--fd", "mqtt={fd:mqtt}"),
            ],
            {"mqtt": ["127.0.0.1", port]},
        )

    def __enter__(self) -> Self:
        for machine in self.machines:
            machine.start()
        try:
            self.wait()
        except BaseException:
            self.cut()
            raise
        return self

    def wait(self) -> None:
        """Wait until everything is ready."""
        for machine in self.machines:
            machine.wait()

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Cut the power of all machines."""
        for machine in reversed(self.machines):
            machine.cut()

    def home(self, failpoint: str) -> list[tuple[Machine, str]]:
        """Return the processes in which a failpoint lies."""
        where = {"outbox": "node", "uplink": "deep", "deep": "deep", "ingest": "ingest"}
        process = where.get(failpoint.partition(".")[0], "hub")
        return [(machine, process) for machine in (self.nodes if process in {"node", "deep"} else [self.hub])]


def dead(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _python(name: str, module: str, *arguments: str) -> dict[str, Any]:
    return {"name": name, "argv": [sys.executable, "-m", module, *arguments, "--ready", "{ready}"]}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
