"""A request, and what one may ask for."""

from msgspec import Struct


class Limits(Struct, frozen=True):
    """What one connection may send, and how long it may take. Sizes in bytes, times in seconds."""

    line: int = 8 << 10  # the request line
    head: int = 16 << 10  # the request line and all header fields
    fields: int = 64  # header fields
    body: int = 256 << 10
    pipeline: int = 16  # requests that wait for their answer
    idle_timeout: float = 75.0  # between two requests
    head_timeout: float = 10.0  # from a head's first byte to its last
    body_timeout: float = 30.0  # from a body's first byte to its last


class HttpRequest(Struct, eq=False):
    """One request; `body` is whole when the session hands it out."""

    method: str
    path: str  # as sent: percent-encoded, begins with "/" or is "*"
    query: str
    headers: dict[str, str]  # names in lower case; several fields of one name joined
    version: int  # the 1 or 0 of HTTP/1.1 and HTTP/1.0
    keep_alive: bool
    body: bytes = b""
    interim: bytes = b""  # goes out before the answer, as soon as all earlier answers have
    answer: bytes | None = None  # the encoded response, until its turn has come
    upgrade: bool = False  # it asks to leave HTTP for WebSocket, and has not been answered
    opened: bool = False  # its answer goes out in pieces
    head: bytes = b""  # as it came; empty where it is long
