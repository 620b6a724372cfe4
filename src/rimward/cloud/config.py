"""The hub's configuration."""

from pathlib import Path

import msgspec
from msgspec import Struct


class HubConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One region's hub."""

    data: str
    manifest: str  # path of the app's manifest
    app: str  # app.py or package.module:app, for the worker of cloud functions
    bus_url: str
    user: str
    password: str
    region: str = "local"
    stream_bytes: int = 1 << 30  # of each priority's stream
    lane_messages: int = 16_384  # envelopes of one node's fact on the bus; more wait in its outbox
    events: bool = False  # committed rows are told as CloudEvents on facts.<region>.<table>
    gather: float = 0.2  # seconds that a commit of normal rows waits for more; critical ones a tenth of it
    ingest_processes: int = 1  # at most 16; each takes its share of the nodes


def read(path: Path) -> HubConfig:
    """Read a configuration file.

    Raises:
        msgspec.ValidationError: a key is unknown or a value is of the wrong type; the message names the path.
    """
    return msgspec.json.decode(path.read_bytes(), type=HubConfig)
