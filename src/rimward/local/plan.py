"""What is to run: every process's configuration and the supervisor's spec, as files in the data folder."""

import os
import shutil
import socket
import sys
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from rimward.app.manifest import Manifest, encode
from rimward.edge.config import NodeConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.functions.config import LISTENER, WorkersConfig
from rimward.edge.functions.wasm.cache import user_folder
from rimward.edge.gateways.listening.config import ListenerConfig
from rimward.edge.slot import watch_spec
from rimward.local.folder import DataFolder
from rimward.local.listeners import HOST, listeners_of, spec_of, takes_coap
from rimward.local.options import DevOptions
from rimward.local.workers import workers_listener, zygote_process
from rimward.network.config import UplinkConfig
from rimward.observe.faults import FILE as FAULTS
from rimward.observe.life import ingest_names

if TYPE_CHECKING:
    from rimward.cloud.bus import BusUser

NODE = "node-1"
REGION = "local"
BACKGROUND = {"background": True}  # of a process: nothing of the deep path may slow the node's own
CLOUD_PACKAGES = ("deltalake", "duckdb", "pyarrow")
CONSOLE_PACKAGES = ("starlette", "uvicorn")


class Extras(Struct, frozen=True):
    """What is installed beside the node itself."""

    bus: str | None  # path of nats-server
    cloud: bool
    console: bool

    @property
    def hub(self) -> bool:
        """Whether a hub can run here, with its enrolment; a bus it may have elsewhere."""
        return self.cloud and self.console


def installed() -> Extras:
    """Look for what the `cloud` extra brings."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    bus = str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")
    return Extras(bus, bus is not None and _have(CLOUD_PACKAGES), _have(CONSOLE_PACKAGES))


class Plan:
    """One run of `rimward dev`: its files are written once, `refresh` after each save of the app."""

    def __init__(self, folder: DataFolder, options: DevOptions, extras: Extras) -> None:
        self._folder = folder
        self._options = options
        self._extras = extras
        own_bus = ["bus"] * (options.bus is None)
        ingest = ingest_names(options.ingest_processes)
        self.names: list[str] = [*own_bus, "hub", *ingest, "deep", "node"] if extras.cloud else ["node"]
        self.devices: list[str] = ["replay"] * (options.replay is not None) + ["simulate"] * bool(
            options.simulate
        )
        self.app: str = absolute(options.app)
        self.listeners: dict[str, ListenerConfig] = listeners_of(options, coap=False)

    def write(self, manifest: Manifest) -> None:
        """Write everything that the processes read.

        Raises:
            DevError: the disk refused it.
        """
        self.listeners = listeners_of(self._options, coap=takes_coap(manifest))
        self.refresh(manifest)
        if self._extras.cloud:
            self._write_cloud()

    def refresh(self, manifest: Manifest) -> None:
        """Write what depends on the app.

        Raises:
            DevError: the disk refused it.
        """
        folder = self._folder
        folder.write(folder.manifest, encode(manifest))
        access = self._options.access
        node = NodeConfig(
            app=self.app,
            data=str(folder.root),
            node=NODE,
            region=REGION,
            digest=manifest.digest,
            access="" if access is None else str(access.absolute()),
            anonymous=self._options.anonymous,
            listeners=self.listeners,
            watch="report",
            workers=WorkersConfig(components=str(user_folder())),
        )
        folder.write(folder.run / "node.json", node)

    def write_spec(self, ports: dict[str, int]) -> Path:
        """Write the supervisor's spec, with the ports that earlier processes had where they are known.

        Raises:
            DevError: the disk refused it.
        """
        spec = {
            "logs": str(self._folder.logs),
            "state": str(self._folder.processes),
            "faults": str(self._folder.root / FAULTS),
            "listeners": {
                name: spec_of(name, listener, ports.get(name)) for name, listener in self.listeners.items()
            }
            | workers_listener(self._folder),
            "processes": self._processes(),
        }
        path = self._folder.run / "supervisor.json"
        self._folder.keep(path, spec)
        return path

    def _write_cloud(self) -> None:
        from rimward.cloud.bus import READER
        from rimward.cloud.config import HubConfig

        folder, events = self._folder, self._options.events
        url, users = self._bus()
        hub, node = users["hub"], users[NODE]
        deep = DeepConfig(
            data=str(folder.root),
            bus_url=url,
            user=node.user,
            password=node.password,
            node=NODE,
            region=REGION,
            uplink=UplinkConfig(rate=self._options.uplink_rate or ""),
        )
        folder.write(folder.run / "deep.json", deep)
        config = HubConfig(
            data=str(folder.root), manifest=str(folder.manifest), app=self.app, bus_url=url,
            user=hub.user, password=hub.password, region=REGION, events=events,
            ingest_processes=self._options.ingest_processes,
        )  # fmt: skip
        folder.write(folder.run / "hub.json", config)
        if events:
            reader = users[READER]
            folder.write(folder.events, {"url": url, "user": reader.user, "password": reader.password})
        else:
            folder.events.unlink(missing_ok=True)

    def _bus(self) -> "tuple[str, dict[str, BusUser]]":
        """Return the bus's address and its users by name; one of our own gets its configuration."""
        from rimward.cloud.bus import READER, BusUser, write_config

        folder, events = self._folder, self._options.events
        if self._options.bus is not None:
            parts = urlsplit(self._options.bus)
            user = BusUser(unquote(parts.username or ""), unquote(parts.password or ""))
            address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            return address, dict.fromkeys(("hub", NODE, READER), user)
        self._bus_port = free_port()
        path, store = folder.run / "bus.conf", folder.root / "bus"
        users = write_config(path, store, self._bus_port, [NODE], REGION, events=events)
        return f"nats://{HOST}:{self._bus_port}", users

    def _processes(self) -> list[dict[str, Any]]:
        run, found = self._folder.run, list[dict[str, Any]]()
        if "bus" in self.names:
            argv = [self._extras.bus, "-c", str(run / "bus.conf")]
            found.append({"name": "bus", "argv": argv, "connect": [HOST, self._bus_port]} | BACKGROUND)
        if self._extras.cloud:
            behind = hub_processes(run, self._options.ingest_processes)
            behind.append(python("deep", "rimward.edge.deep", str(run / "deep.json"), "--ready", "{ready}"))
            found += [process | BACKGROUND for process in behind]
        found.append(zygote_process(self._folder, sys.executable))
        found.append(node_process(self._folder, self.listeners))
        if (replay := self._options.replay) is not None:
            where = ("--port", "{port:mqtt}", "--speed", self._options.speed)
            found.append(
                python("replay", "rimward.devices.replay", replay, *where) | {"once": True, "waits": True}
            )
        if self._options.simulate:
            what = (str(self._folder.manifest), str(self._options.simulate))
            how = ("--port", "{port:mqtt}", "--seed", str(self._options.seed))
            found.append(
                python("simulate", "rimward.devices.simulate", *what, *how) | {"once": True, "waits": True}
            )
        return found


def python(name: str, module: str, *arguments: str) -> dict[str, Any]:
    """Return a process of ours as the supervisor's spec writes it."""
    return {"name": name, "argv": [sys.executable, "-m", module, *arguments]}


def node_process(folder: DataFolder, listeners: Iterable[str]) -> dict[str, Any]:
    """Return the node's I/O process, its calls watched, as the supervisor's spec writes it."""
    words = [word for name in (*listeners, LISTENER) for word in ("--fd", f"{name}={{fd:{name}}}")]
    node = python("node", "rimward.edge", str(folder.run / "node.json"), *words, "--ready", "{ready}")
    return node | {"watch": watch_spec(folder.root / "node")._asdict()}


def hub_processes(run: Path, ingest: int) -> list[dict[str, Any]]:
    """Return what a hub is made of beside its bus; `run` has its configuration, `ingest` says how many."""
    config = str(run / "hub.json")
    return [
        python("hub", "rimward.cloud", config, "--ready", "{ready}"),
        *(
            python(
                name, "rimward.cloud.ingest.ingesting", config, "--share", str(share), "--ready", "{ready}"
            )
            for share, name in enumerate(ingest_names(ingest))
        ),
    ]


def _have(packages: tuple[str, ...]) -> bool:
    return all(find_spec(package) is not None for package in packages)


def absolute(app: str) -> str:
    """Return the app's name as any process can read it, wherever that one runs."""
    file, colon, attribute = app.partition(":")
    return str(Path(file).absolute()) + colon + attribute if file.endswith(".py") else app


def free_port() -> int:
    """Return a port that was free a moment ago: the bus can't be given a socket that listens already."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
