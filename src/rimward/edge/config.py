"""The node's configuration: one tree, decoded once, unknown keys refused."""

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from rimward.edge.cells import StatesConfig
from rimward.edge.dispatch.keys import StreamsConfig
from rimward.edge.functions.config import WorkersConfig
from rimward.edge.gateways.admission import RequestRates
from rimward.edge.gateways.listening.config import AcceptConfig, ListenerConfig
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.outbox.config import OutboxConfig
from rimward.edge.recording.wish import RecordingConfig

__all__ = ["LimitsConfig", "NodeConfig", "OutboxConfig", "read"]


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What one device may ask of the node."""

    payload_bytes: int = 256 << 10
    connections: int = 20_000
    timers: int = 100_000  # pending, of all devices together; messages that start one more are refused


class HttpConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Which names and pages may call the node over HTTP and WebSocket, besides its own."""

    hosts: tuple[str, ...] = ()  # names allowed in Host, without port
    origins: tuple[str, ...] = ()  # of pages, such as "https://app.example"
    credentials: bool = False  # those pages may send cookies and Authorization
    rates: RequestRates = RequestRates()


class CoapConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the node takes over CoAP."""

    rates: RequestRates = RequestRates()


class PlacementConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """When a function that may run anywhere is moved to a process of its own."""

    overruns: int = 10  # calls over their budget by their own time alone ...
    within: float = 60.0  # ... in so many seconds
    events: int = 1024  # events that killed a process that are remembered; beyond it the oldest is forgotten


class NodeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One node's I/O process."""

    app: str  # app.py or package.module:app
    data: str  # its folder is data/node
    node: str = "node-1"
    site: str = "local"
    region: str = "local"
    digest: str = ""  # of the app, for status pages
    settings: str = ""  # a JSON file with the app's own settings, else the one that RIMWARD_CONFIG names
    trace_bytes: int = 256 << 20
    access: str = ""  # access.toml: who may do what; without one everybody may, and only from this machine
    anonymous: bool = False  # everybody may from other machines too, where there is no access file
    listeners: dict[str, ListenerConfig] = field(default_factory=dict[str, ListenerConfig])  # by name
    accept: AcceptConfig = AcceptConfig()
    drain: float = 2.0  # seconds that async functions get when the node stops
    limits: LimitsConfig = LimitsConfig()
    mqtt: MqttConfig = MqttConfig()  # packets and connections at a time are as `limits` says
    http: HttpConfig = HttpConfig()
    coap: CoapConfig = CoapConfig()
    outbox: OutboxConfig = OutboxConfig()
    streams: StreamsConfig = StreamsConfig()
    states: StatesConfig = StatesConfig()
    watch: Literal["stop", "report"] = "stop"  # what becomes of calls past their limit: report kills none
    placement: PlacementConfig = PlacementConfig()
    recording: RecordingConfig = RecordingConfig()
    workers: WorkersConfig = WorkersConfig()


def read(path: Path) -> NodeConfig:
    """Read a configuration file.

    Raises:
        msgspec.ValidationError: a key is unknown or a value is of the wrong type; the message names the path.
    """
    return msgspec.json.decode(path.read_bytes(), type=NodeConfig)
