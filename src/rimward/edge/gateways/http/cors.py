"""Pages of other origins that may call, told so by the gateway [WHATWG Fetch §3.3]: none, unless configured.

An origin is allowed by its whole name. Credentials are allowed for named origins only, and only where the
configuration says so; there is no `*`. Who is not allowed is refused by the guard and gets no such header.
"""

import re

from rimward.edge.dispatch.types import Reply
from rimward.edge.gateways.http.config import HttpConfig
from rimward.protocols.http import HttpRequest

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = "etag, location, retry-after, content-range, idempotent-replayed"
_MAX_AGE = 600  # seconds that a browser may remember a preflight
_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, -]{0,1024}", re.ASCII)


class Cors:
    """The answer's part that lets a page read it."""

    def __init__(self, config: HttpConfig) -> None:
        self._origins = frozenset(origin.lower().rstrip("/") for origin in config.origins)
        self._credentials = config.credentials

    def lines(self, headers: dict[str, str]) -> bytes:
        """Return the header lines of an answer to a request with an Origin."""
        origin = headers["origin"]
        if origin.lower() not in self._origins:
            return b"vary: origin\r\n" if self._origins else b""
        allowed = f"access-control-allow-origin: {origin}\r\nvary: origin\r\n"
        if self._credentials:
            allowed += "access-control-allow-credentials: true\r\n"
        return f"{allowed}access-control-expose-headers: {_EXPOSED}\r\n".encode("latin-1", "replace")

    def preflight(self, request: HttpRequest) -> Reply | None:
        """Return the answer to a preflight; None where the request is none.

        The guard has let its origin in. Which methods a path serves is no secret and no matter of origins.
        """
        headers = request.headers
        if request.method != "OPTIONS" or "access-control-request-method" not in headers:
            return None
        if headers.get("origin", "").lower() not in self._origins:
            return None
        asked = headers.get("access-control-request-headers", "")
        fields = {"access-control-allow-methods": METHODS, "access-control-max-age": str(_MAX_AGE)}
        if asked and _NAMES.fullmatch(asked):
            fields["access-control-allow-headers"] = asked
        return Reply(status=204, headers=fields)
