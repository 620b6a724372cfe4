"""What the HTTP gateway allows."""

from msgspec import Struct

from rimward.edge.gateways.admission import RequestRates
from rimward.protocols.http import Limits


class HttpConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The HTTP gateway of a node. Sizes in bytes, times in seconds."""

    hosts: tuple[str, ...] = ()  # names allowed in Host, without port, besides loopback and the bound address
    origins: tuple[str, ...] = ()  # origins whose pages may call, such as "https://app.example"
    credentials: bool = False  # those pages may send cookies and Authorization with their calls
    max_connections: int = 4096
    max_pipeline: int = 16  # requests of one connection that wait for their answer
    max_body: int = 256 << 10
    max_message: int = 256 << 10  # on a WebSocket, whatever its fragments
    ping_interval: float = 30.0  # that a WebSocket may be silent before it is asked for a sign of life
    max_head: int = 16 << 10
    max_line: int = 8 << 10
    max_fields: int = 64
    max_unsent: int = 256 << 10  # of answers that a slow reader leaves; beyond it nothing more is read
    idle_timeout: float = 75.0  # between two requests
    head_timeout: float = 10.0
    body_timeout: float = 30.0
    write_timeout: float = 30.0  # for a slow reader to take what waits
    linger: float = 1.0  # for a peer to read why it was refused, before the connection ends
    compress_from: int = 1024  # of an answer's body; a smaller one is sent as it is
    compress_to: int = 1 << 20  # a larger one too: compressing it would hold up the loop
    max_streams: int = 1024  # answers in pieces and sockets that are told of a topic, at a time
    heartbeat: float = 15.0  # between two signs of life on a stream of events that is silent
    max_keys: int = 100_000  # idempotency keys that are kept
    max_keys_of_one: int = 25_000  # of one caller
    max_key_bytes: int = 64 << 20  # of the answers that are kept with them
    keep_keys: float = 86_400.0
    rates: RequestRates = RequestRates()
    known_heads: int = 2048  # of requests, up to 1 KiB each, whose meaning is remembered
    retry_after: int = 1  # told to callers that were refused for want of room

    def session_limits(self) -> Limits:
        """Return what one connection may send."""
        return Limits(
            line=self.max_line,
            head=self.max_head,
            fields=self.max_fields,
            body=self.max_body,
            pipeline=self.max_pipeline,
            idle_timeout=self.idle_timeout,
            head_timeout=self.head_timeout,
            body_timeout=self.body_timeout,
        )
