"""The configuration of the process that lets nodes in."""

from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.cloud.bus import OwnBus
from rimward.network.config import BusAccess


class ControlConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What nodes are told, and how the bus hears of them."""

    data: str
    region: str
    bus: str  # the address that nodes are told
    tls_first: bool = False  # that bus speaks TLS before anything else
    authority: str = ""  # PEM, told to nodes; without one nothing here speaks TLS
    certificate: str = ""  # PEM with its key, of the enrolment's own address
    own: OwnBus | None = None  # None: somebody else's bus, which that one lets nodes into
    system: BusAccess | None = None  # the way to have our own bus read its configuration again


def read(path: Path) -> ControlConfig:
    """Read a configuration file.

    Raises:
        msgspec.ValidationError: a key is unknown or a value is of the wrong type; the message names the path.
    """
    return msgspec.json.decode(path.read_bytes(), type=ControlConfig)
