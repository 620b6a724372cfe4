"""The hub's configuration."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from rimward.network.config import BusAccess

Processes = Annotated[int, Meta(ge=1, le=16)]  # of ingest: there are 16 buckets of nodes
VERSIONS_KEPT = 48 * 3600  # seconds that what is replaced in the lake stays, for those who read it


class LakePlace(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a lake is, and how to reach it; a key is no part of it."""

    url: str = ""  # "s3://bucket/prefix", or what object_store speaks; empty: the folder `lake` of the data
    endpoint: str = ""  # of a store that isn't Amazon's, "https://host:port"
    region: str = ""
    keys: str = ""  # a JSON file {"access_key_id": …, "secret_access_key": …}; else the environment's
    options: dict[str, str] = {}  # others of object_store, by its names


class UpkeepConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How a lake is kept."""

    every: float = 10.0  # seconds between two looks at the tables
    small_files: int = 100  # of one day and site: so many are made into one at once
    tidy_every: float = 3600.0  # seconds between two compactions of the current day, and two clean-ups
    first_bytes: int = 16 << 20  # that a file has which was made of small ones
    file_bytes: int = 128 << 20  # that a file has in the end
    keep_versions: int = VERSIONS_KEPT  # seconds that replaced files and log entries stay
    alarm_files: int = 500  # files of the current day


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
    gather: float = 0.2  # seconds that a commit of normal rows waits for more; critical ones a tenth of it
    ingest_processes: Processes = 1  # each takes its share of the nodes
    lake: LakePlace = LakePlace()
    upkeep: UpkeepConfig = UpkeepConfig()

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
