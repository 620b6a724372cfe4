"""The deep process's configuration."""

from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.network.config import BusAccess, UplinkConfig


class DeepConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the node's files are and where its rows go."""

    data: str
    bus_url: str
    user: str = ""
    password: str = ""
    credentials: str = ""  # a file with an nkey's seed or with user:password, instead of both
    ca: str = ""  # PEM of who signs the bus's certificate, for tls://
    tls_first: bool = False  # the bus speaks TLS before anything else, as a hub's own does
    node: str = "node-1"
    site: str = "local"
    region: str = "local"
    bus_urls: tuple[str, ...] = ()  # more buses, tried in this order where `bus_url` does not answer
    uplink: UplinkConfig = UplinkConfig()

    @property
    def bus(self) -> BusAccess:
        """The way into the bus."""
        return BusAccess(
            self.bus_url, self.user, self.password, self.credentials, self.ca, tls_first=self.tls_first
        )


def read(path: Path) -> DeepConfig:
    """Read a configuration file.

    Raises:
        msgspec.ValidationError: a key is unknown or a value is of the wrong type; the message names the path.
    """
    return msgspec.json.decode(path.read_bytes(), type=DeepConfig)
