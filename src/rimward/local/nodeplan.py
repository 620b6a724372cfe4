"""What a node's machine runs: its I/O and deep processes, as files in the data folder."""

import sys
from pathlib import Path
from typing import Any

from msgspec import Struct, structs, to_builtins

from rimward.app.manifest import Manifest, encode
from rimward.edge.config import NodeConfig
from rimward.edge.deep.config import DeepConfig
from rimward.edge.functions.wasm.cache import folder_of
from rimward.edge.gateways.listening.config import ListenerConfig
from rimward.edge.joining import Identity, IdentityFolder
from rimward.local.errors import DevError
from rimward.local.folder import DataFolder
from rimward.local.listeners import listeners_of, spec_of, takes_coap
from rimward.local.options import NodeOptions
from rimward.local.plan import BACKGROUND, absolute, node_process, python
from rimward.local.settings import Settings
from rimward.local.workers import workers_listener, zygote_process
from rimward.network.config import BusAccess
from rimward.network.pace import Schedule
from rimward.observe.faults import FILE as FAULTS
from rimward.wire.joining import NAME_RULE, is_node_name

DEEP = ("uplink",)  # tables of the TOML that are the deep process's
STRANGER = (
    "this folder is no node yet: rimward node join --name NAME makes it one with the string that "
    "rimward hub token prints on the hub's machine"
)


class _Self(Struct, frozen=True):
    """Who the node is, where no hub said it."""

    name: str
    site: str = "local"
    region: str = "local"


class NodePlan:
    """One run of `rimward node run`."""

    names: tuple[str, ...] = ("deep", "node")

    def __init__(self, folder: DataFolder, options: NodeOptions, manifest: Manifest) -> None:
        """Find out who the node is and what it is to do.

        Raises:
            DevError: it is nobody yet, or its TOML is wrong.
            JoinError: what it knows of itself makes no sense.
        """
        settings = Settings(options.config)
        self._folder = folder
        self._manifest = manifest
        who, access = _who(IdentityFolder(folder.root), settings)
        self.identity: Identity = who
        deep = settings.take(*DEEP)
        if options.uplink_rate is not None:
            deep["uplink"] = {**deep.get("uplink", {}), "rate": options.uplink_rate}
        own = {"data": str(folder.root), "site": self.identity.site, "region": self.identity.region}
        own |= {"node": self.identity.name}
        way = {"bus_url" if name == "url" else name: value for name, value in structs.asdict(access).items()}
        self._deep = settings.part(DeepConfig, deep, own | way)
        _check_uplink(self._deep, options.config)
        further = settings.take("listeners")
        access_file = "" if options.access is None else str(options.access.absolute())
        mine = {
            "app": absolute(options.app),
            "digest": manifest.digest,
            "access": access_file,
            "anonymous": options.anonymous,
            "listeners": to_builtins(listeners_of(options, coap=takes_coap(manifest)))
            | further.get("listeners", {}),
        }
        self._node = settings.rest(NodeConfig, own | mine)

    @property
    def listeners(self) -> dict[str, ListenerConfig]:
        """The listeners by name."""
        return self._node.listeners

    @property
    def components(self) -> Path:
        """Where the node's components are."""
        return folder_of(self._node.workers, self._node.data)

    def write(self) -> None:
        """Write everything that the processes read.

        Raises:
            DevError: the disk refused it.
        """
        folder = self._folder
        folder.write(folder.manifest, encode(self._manifest))
        folder.write(folder.run / "node.json", self._node)
        folder.write(folder.run / "deep.json", self._deep)

    def write_spec(self, ports: dict[str, int]) -> Path:
        """Write the supervisor's spec, with the ports that earlier processes had where they are known.

        Raises:
            DevError: the disk refused it.
        """
        run = self._folder.run
        deep = python("deep", "rimward.edge.deep", str(run / "deep.json"), "--ready", "{ready}")
        spec: dict[str, Any] = {
            "logs": str(self._folder.logs),
            "state": str(self._folder.processes),
            "faults": str(self._folder.root / FAULTS),
            "listeners": {
                name: spec_of(name, listener, ports.get(name)) for name, listener in self.listeners.items()
            }
            | workers_listener(self._folder),
            "processes": [
                deep | BACKGROUND,
                zygote_process(self._folder, sys.executable),
                node_process(self._folder, self.listeners),
            ],
        }
        path = run / "supervisor.json"
        self._folder.keep(path, spec)
        return path


def _check_uplink(deep: DeepConfig, path: Path | None) -> None:
    try:
        Schedule(deep.uplink)
    except ValueError as error:
        raise DevError(f"{path or '--uplink-rate'}: {error}") from None


def _who(folder: IdentityFolder, settings: Settings) -> tuple[Identity, BusAccess]:
    """Return who the node is and its way to the bus: a hub said both, or its TOML does."""
    bus, said = settings.bus(), settings.take("name", "site", "region")
    identity = folder.read()
    if identity is not None:
        if said:
            raise DevError(f"the hub said who this node is: leave {' and '.join(said)} out of the TOML")
        if bus is None:
            return identity, folder.access(identity)
    elif bus is None or "name" not in said:
        raise DevError(STRANGER)
    else:
        own = settings.part(_Self, said, {})
        if not is_node_name(own.name):
            raise DevError(f"name is {own.name!r}, and a node's name is {NAME_RULE}: choose another")
        identity = Identity(own.name, own.site, own.region, bus.url, bus.tls_first)
    return identity, BusAccess(bus.url, credentials=bus.credentials, ca=bus.ca, tls_first=bus.tls_first)
