"""The edges of the outage and their clouds: a mosquitto bridge, Node-RED between two brokers, Rimward.

A bridge and a flow have a mosquitto as cloud whose reader's session is kept on disk; Rimward has its hub.
"""

import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.faults.fleet import Fleet

from benchmarks.outage.device import Reader
from benchmarks.rig.installing import debian, npm
from benchmarks.rig.native import HERE
from benchmarks.rig.processes import process
from benchmarks.rig.servers import free_port, listens
from rimward.cloud.lake.query import query

TOPIC = "site/reading"
FLOWS = Path(__file__).parent / "peers" / "flows.json"
BROKER = "listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\nuser root\nset_tcp_nodelay true\n"
KEPT = "persistence true\npersistence_location {folder}/\n"
UNLIMITED = "max_queued_messages 0\n"
AUTOSAVE = "autosave_on_changes true\nautosave_interval 100\n"
BRIDGE = (
    f"connection cloud\naddress 127.0.0.1:{{cloud}}\ntopic {TOPIC} out 1\ncleansession false\n"
    "restart_timeout 1\n"
)
APP = f"""from msgspec import Struct

from rimward import App, mqtt

app = App("outage", compat="2026-11-01")


class Reading(Struct):
    n: int


@app.fact
class Seen(Struct):
    n: int


@app.edge(mqtt("{TOPIC}"))
def keep(reading: Reading) -> None:
    app.forward(Seen(reading.n))
"""


class Edge(ABC):
    """An edge with its cloud, in a folder of its own."""

    port: int  # of its devices

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @abstractmethod
    def start(self) -> None:
        """Start everything.

        Raises:
            BenchError: it can't be had here.
        """

    @abstractmethod
    def cloud_away(self) -> None:
        """End the cloud."""

    @abstractmethod
    def cloud_back(self) -> None:
        """Start it again."""

    @abstractmethod
    def kill(self) -> None:
        """Kill -9 all processes of the edge and start them again."""

    @abstractmethod
    def arrived(self, seconds: float) -> Counter[int]:
        """Return how often each number is in the cloud; the reader first takes what comes for so long."""


class Broker:
    """A mosquitto that keeps its port and its folder."""

    def __init__(self, stack: ExitStack, folder: Path, config: str) -> None:
        self.port: int = free_port()
        self._stack = stack
        self._config = folder / "mosquitto.conf"
        folder.mkdir()
        self._config.write_text((BROKER + KEPT).format(port=self.port, folder=folder) + config)
        self.start()

    def start(self) -> None:
        """Start it."""
        command = [debian("mosquitto", "mosquitto"), "-c", self._config]
        self._child = self._stack.enter_context(process(command, cpu=None))
        listens(self.port)

    def stop(self) -> None:
        """End it in peace: it saves what it has."""
        self._child.terminate()
        self._child.wait()

    def kill(self) -> None:
        """Kill it."""
        self._child.kill()
        self._child.wait()


class _WithBroker(Edge):
    """An edge whose cloud is a broker with a reader."""

    edge: Broker

    def start(self) -> None:
        """Start everything, the reader's session first."""
        self.cloud = Broker(self.stack, self.folder / "cloud", UNLIMITED)
        self.reader = self.stack.enter_context(Reader())
        self.reader.come(self.cloud.port, TOPIC)
        self.start_edge()
        self.port = self.edge.port

    @abstractmethod
    def start_edge(self) -> None:
        """Start the edge."""

    def cloud_away(self) -> None:
        """End the broker."""
        self.reader.leave()
        self.cloud.stop()

    def cloud_back(self) -> None:
        """Start it again, and its reader."""
        self.cloud.start()
        self.reader.come(self.cloud.port, TOPIC)

    def arrived(self, seconds: float) -> Counter[int]:
        """Return what the reader has."""
        self.reader.read(seconds)
        return self.reader.got


class Bridge(_WithBroker):
    """mosquitto with a bridge to the cloud."""

    def __init__(self, config: str = "") -> None:
        super().__init__()
        self._more = config

    def start_edge(self) -> None:
        """Start the bridge."""
        config = self._more + BRIDGE.format(cloud=self.cloud.port)
        self.edge = Broker(self.stack, self.folder / "edge", config)

    def kill(self) -> None:
        """Kill the bridge."""
        self.edge.kill()
        self.edge.start()


class NodeRed(_WithBroker):
    """mosquitto for the devices, and a flow in Node-RED from there to the cloud."""

    def start_edge(self) -> None:
        """Start broker and flow; both sessions of the flow are kept."""
        self.edge = Broker(self.stack, self.folder / "edge", UNLIMITED + AUTOSAVE)
        shutil.copy(FLOWS, self.folder / "flows.json")
        self._start_flow()

    def _start_flow(self) -> None:
        program = npm("node-red", "--omit=optional") / "node_modules" / "node-red" / "red.js"
        node, peers = shutil.which("node") or "node", HERE / "peers"
        command: list[str | Path] = [node, "--require", peers / "nodelay.cjs", program]
        command += [
            "--settings",
            peers / "settings.cjs",
            "--userDir",
            self.folder,
            self.folder / "flows.json",
        ]
        env = {"EDGE_PORT": str(self.edge.port), "CLOUD_PORT": str(self.cloud.port)}
        self._flow: subprocess.Popen[bytes] = self.stack.enter_context(process(command, env=env, cpu=None))

    def kill(self) -> None:
        """Kill flow and broker."""
        self._flow.kill()
        self._flow.wait()
        self.edge.kill()
        self.edge.start()
        self._start_flow()


class Rimward(Edge):
    """A node, and its hub as the cloud."""

    def start(self) -> None:
        """Start both."""
        app = self.folder / "app.py"
        app.write_text(APP)
        self._fleet = self.stack.enter_context(Fleet(self.folder / "fleet", app, nodes=1))
        self.port = self._fleet.ports[0]

    def cloud_away(self) -> None:
        """Kill the hub, its ingest and its bus."""
        self._fleet.hub.cut()

    def cloud_back(self) -> None:
        """Start them again."""
        self._fleet.hub.start()

    def kill(self) -> None:
        """Kill the node with all its processes."""
        node = self._fleet.nodes[0]
        node.cut()
        node.start()
        node.wait()

    def arrived(self, seconds: float) -> Counter[int]:
        """Return what lies in the table."""
        del seconds  # a table has no reader to wait for
        found = query(self._fleet.hub.folder / "lake", "select n, count(*) as rows from seen group by n")
        return Counter({row["n"]: row["rows"] for row in found.to_pylist()})


OURS = "rimward"
EDGES: Mapping[str, Callable[[], Edge]] = {
    OURS: Rimward,
    "bridge": Bridge,
    "bridge+unlimited": lambda: Bridge(UNLIMITED),
    "bridge+unlimited+autosave": lambda: Bridge(UNLIMITED + AUTOSAVE),
    "node-red": NodeRed,
}
