"""The hub's configuration."""

from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.network.bus import BusAccess


class HubConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One region's hub."""

    data: str
    manifest: str  # path of the app's manifest
    app: str  # app.py or package.module:app, for the worker of cloud functions
    bus_url: str
    user: str = ""
    password: str = ""
    credentials: str = ""  # a file with an nkey's seed or with user:password, instead of both
    ca: str = ""  # PEM of who signs the bus's certificate, for tls://
    tls_first: bool = False  # the bus speaks TLS before anything else, as our own does
    region: str = "local"
    stream_bytes: int = 1 << 30  # of each priority's stream
    lane_messages: int = 16_384  # envelopes of one node's fact on the bus; more wait in its outbox
    events: bool = False  # committed rows are told as CloudEvents on facts.<region>.<table>
    gather: float = 0.2  # seconds that a commit waits for more rows

    @property
    def bus(self) -> BusAccess:
        """The way into the bus."""
        return BusAccess(
            self.bus_url, self.user, self.password, self.credentials, self.ca, tls_first=self.tls_first
        )


def read(path: Path) -> HubConfig:
    """Read a configuration file.

    Raises:
        msgspec.ValidationError: a key is unknown or a value is of the wrong type; the message names the path.
    """
    return msgspec.json.decode(path.read_bytes(), type=HubConfig)
