"""What `rimward dev` and `rimward node run` were asked for."""

from pathlib import Path

from msgspec import Struct


class RunOptions(Struct, frozen=True):
    """A node's part. Ports: 0 picks a free one."""

    app: str  # app.py or package.module:app
    data: Path
    mqtt: int = 1883
    http: int = 8080
    console: int = 8088
    coap: int = 5683
    mqtts: int = 8883  # with tls_cert
    https: int = 8443  # with tls_cert
    host: str = "127.0.0.1"  # where other machines connect; loopback: nowhere
    access: Path | None = None  # the access file
    anonymous: bool = False  # whoever reaches `host` may come in without one
    tls_cert: Path | None = None  # PEM with its chain
    tls_key: Path | None = None  # PEM
    uplink_rate: str | None = None  # the most that goes to the hub, such as 64kbit/s; None: no limit was said
    duration: float | None = None  # seconds from ready to the stop; None: until told
    check_timeout: float = 5.0  # seconds that importing the app may take
    ready_timeout: float = 30.0  # seconds


class DevOptions(RunOptions, frozen=True):
    """All four layers on one machine."""

    replay: str | None = None  # a file, or recordings:NAME
    speed: str = "1"  # of the replay: a factor or "max"
    simulate: int = 0  # devices
    events: bool = False  # the hub tells committed rows as CloudEvents
    bus: str | None = None  # nats://[user:password@]host:port of a bus that runs already; None starts one
    ingest_processes: int = 1  # each takes its share of the nodes
    seed: int = 1  # of the simulated devices


class NodeOptions(RunOptions, frozen=True):
    """A node whose hub is elsewhere."""

    config: Path | None = None  # TOML


class HubOptions(Struct, frozen=True):
    """A hub whose nodes are elsewhere."""

    data: Path
    app: str | None = None  # app.py or package.module:app, for its facts and cloud functions
    manifest: Path | None = None  # what `rimward check --manifest` wrote, where the app itself is not here
    config: Path | None = None  # TOML
    host: str = "127.0.0.1"  # where nodes connect; loopback: this machine's alone
    port: int = 8422  # of the enrolment; 0 picks one and keeps it
    bus_port: int = 4222  # 0 picks one and keeps it
    advertise: str = ""  # the name or address by which nodes reach it; else `host`
    region: str = "local"
    duration: float | None = None  # seconds from ready to the stop; None: until told
    check_timeout: float = 5.0  # seconds
    ready_timeout: float = 30.0  # seconds
