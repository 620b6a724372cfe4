"""The bus's configuration: every write on disk, and for a node only what is its own."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from rimward.network.secretfile import write_secret
from rimward.wire import inbox_prefix

TLS_TIMEOUT = 10  # seconds; a node behind a slow link needs several round trips
READER = "events"  # the user who may read the events of committed rows


class BusUser(Struct, frozen=True):
    """A name and a password for the bus."""

    user: str
    password: str


def write_config(
    path: Path, store: Path, port: int, nodes: list[str], region: str, *, events: bool = False
) -> dict[str, BusUser]:
    """Write a configuration for nats-server, readable by its owner alone; return the users by name.

    With `events` there is a user of this name who may listen to `facts.>` and do nothing else.
    """
    readers = (READER,) if events else ()
    users = {name: BusUser(name, secrets.token_urlsafe(24)) for name in ("hub", *nodes, *readers)}
    permissions: dict[str, object] = {node: rights_of(region, node) for node in nodes}
    permissions |= {
        name: {"publish": {"deny": [">"]}, "subscribe": {"allow": ["facts.>"]}} for name in readers
    }
    config = _server("127.0.0.1", port, store, region) | {
        "authorization": {
            "users": [
                {
                    "user": one.user,
                    "password": one.password,
                    **({"permissions": permissions[name]} if name in permissions else {}),
                }
                for name, one in users.items()
            ]
        },
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
    return users


class OwnBus(Struct, frozen=True):
    """The bus of a hub that nodes join: everybody on it has a key, and another one means a reload."""

    path: str  # of its configuration
    store: str  # folder
    host: str
    port: int
    region: str
    hub: str  # the hub's public nkey
    system: str  # the public nkey of who may have it read its configuration again
    certificate: str = ""  # PEM with its key; without one it speaks in the clear

    def write(self, nodes: Mapping[str, str]) -> None:
        """Write its configuration with the nodes that may come in, public nkeys by name.

        Raises:
            OSError: the disk refused it.
        """
        config = _server(self.host, self.port, Path(self.store), self.region) | {
            "accounts": {"SYS": {"users": [{"nkey": self.system}]}},
            "system_account": "SYS",
            "authorization": {"users": [{"nkey": self.hub}, *users_of(self.region, nodes)]},
        }
        if self.certificate:
            files = {"cert_file": self.certificate, "key_file": self.certificate}
            config["tls"] = files | {"handshake_first": True, "timeout": TLS_TIMEOUT}
        write_secret(Path(self.path), json.dumps(config, indent=1).encode())


def users_of(region: str, nodes: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the users of a bus that nodes are, from public nkeys by name."""
    return [{"nkey": key, "permissions": rights_of(region, name)} for name, key in nodes.items()]


def rights_of(region: str, node: str) -> dict[str, Any]:
    """Return what a node may do on the bus: send what is its own, hear what is meant for it, and no more."""
    return {
        "publish": {"allow": [f"up.{region}.{node}.>"]},
        "subscribe": {"allow": [f"{inbox_prefix(node)}.>"]},
    }


def _server(host: str, port: int, store: Path, region: str) -> dict[str, Any]:
    return {
        "host": host,
        "port": port,
        "server_name": f"bus-{region}",
        "max_payload": 1 << 20,
        "jetstream": {"store_dir": str(store), "sync_interval": "always", "max_file_store": 4 << 30},
    }
