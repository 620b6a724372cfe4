"""The deep process's configuration."""

from pathlib import Path

import msgspec
from msgspec import Struct


class DeepConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the node's files are and where its rows go."""

    data: str
    bus_url: str
    user: str
    password: str
    node: str = "node-1"
    site: str = "local"
    region: str = "local"


def read(path: Path) -> DeepConfig:
    """Read a configuration file.

    Raises:
        msgspec.ValidationError: a key is unknown or a value is of the wrong type; the message names the path.
    """
    return msgspec.json.decode(path.read_bytes(), type=DeepConfig)
