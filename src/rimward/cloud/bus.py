"""The bus's configuration: loopback, every write on disk, and for a node only what is its own."""

import json
import secrets
from pathlib import Path

from msgspec import Struct

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
    permissions: dict[str, object] = {
        node: {
            "publish": {"allow": [f"up.{region}.{node}.>"]},
            "subscribe": {"allow": [f"_INBOX_{node}.>"]},
        }
        for node in nodes
    }
    permissions |= {
        name: {"publish": {"deny": [">"]}, "subscribe": {"allow": ["facts.>"]}} for name in readers
    }
    config = {
        "host": "127.0.0.1",
        "port": port,
        "server_name": f"bus-{region}",
        "max_payload": 1 << 20,
        "jetstream": {"store_dir": str(store), "sync_interval": "always", "max_file_store": 4 << 30},
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
