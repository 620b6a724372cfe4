"""How an uplink may use its link."""

from msgspec import Struct


class Period(Struct, frozen=True, forbid_unknown_fields=True, rename={"begin": "from", "end": "to"}):
    """A part of each day by local time, `from` included and `to` not; over midnight where `to` is earlier."""

    begin: str  # "22:00"
    end: str  # "06:00"
    rate: str = ""  # as UplinkConfig.rate; "": no cap
    metered: bool = False


class UplinkConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How an uplink may use its link; a period of the schedule takes the place of `rate` and `metered`."""

    rate: str = ""  # "64kbit/s", "2Mbit/s", "100kB/s"; "0bit/s": hello alone; "": no cap
    schedule: tuple[Period, ...] = ()  # the first that fits the time of day counts
    metered: bool = False  # each byte costs: critical lanes and hello alone, the others wait
    window: int = 512  # envelopes that the bus has not acknowledged
    window_bytes: int = 8 << 20  # the same in bytes: 100 Mbit/s at a round trip of 600 ms
    ahead: int = 1 << 18  # rows of a lane that may be on their way into the lake, whatever the hub says
    rows: int = 500  # of one envelope
    bytes: int = 64 << 10  # of one envelope's rows before compression
    gather: float = 0.25  # seconds that a row waits for others
    gather_critical: float = 0.02  # the same in critical lanes
    bulk_share: float = 0.125  # of the bytes, for bulk while others wait too; the same for normal


class BusAccess(Struct, frozen=True, forbid_unknown_fields=True):
    """How a process gets into its bus: by a credentials file, or by user and password, or as anybody."""

    url: str  # nats://host:port, or tls://host:port, which never goes on without TLS
    user: str = ""
    password: str = ""
    credentials: str = ""  # a file with an nkey's seed (SU…), or with user:password
    ca: str = ""  # PEM of who signs the bus's certificate; else those that the system trusts
    tls_first: bool = False  # the bus speaks TLS before anything else, as our own does
