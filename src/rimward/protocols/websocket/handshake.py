"""The opening handshake [RFC 6455 §4.2]; the request itself has been read by `protocols.http`.

No extension is ever agreed to: with permessage-deflate every socket would hold a window of its own, for
messages that are small.
"""

import base64
import binascii
import re
from hashlib import sha1

from msgspec import Struct

from rimward.protocols.http.errors import HttpError

VERSION = "13"
MAX_SUBPROTOCOLS = 32  # of one request that are looked at
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # [§1.3]
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


class Opening(Struct, frozen=True):
    """What a client asks for."""

    key: str
    subprotocols: tuple[str, ...]  # in its order

    def choose(self, known: tuple[str, ...]) -> str | None:
        """Return the first subprotocol that we know, as the client likes them best."""
        return next((name for name in self.subprotocols if name in known), None)

    def answer(self, subprotocol: str | None, lines: bytes = b"") -> bytes:
        """Return the response that ends HTTP; `lines` are whole header lines that it gets too."""
        digest = sha1(self.key.encode("ascii") + _GUID, usedforsecurity=False).digest()
        chosen = "" if subprotocol is None else f"sec-websocket-protocol: {subprotocol}\r\n"
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-accept: {base64.b64encode(digest).decode('ascii')}\r\n{chosen}"
        )
        return head.encode("ascii") + lines + b"\r\n"


def opening_of(headers: dict[str, str]) -> Opening:
    """Return what an upgrade request asks for.

    Raises:
        HttpError: 426 for another version, 400 for a key or a subprotocol that is none.
    """
    if headers.get("sec-websocket-version") != VERSION:
        raise HttpError(426, f"only version {VERSION} of the WebSocket protocol is served")
    key = headers.get("sec-websocket-key", "")
    try:
        fits = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        fits = False
    if not fits:
        raise HttpError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    texts = headers.get("sec-websocket-protocol", "").split(",")[:MAX_SUBPROTOCOLS]
    names = tuple(name for text in texts if (name := text.strip()))
    if not all(_TOKEN.fullmatch(name) for name in names):
        raise HttpError(400, "Sec-WebSocket-Protocol is malformed")
    return Opening(key, names)
