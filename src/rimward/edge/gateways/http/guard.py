"""Who may call: loopback is no credential, since any web page can reach it (GUARANTEES §7).

A foreign name in Host is a page that pointed its own name at this machine. Origin and Sec-Fetch-Site tell
that a page of another site calls. A WebSocket's handshake is judged by the same: its browser sends Origin.
"""

from rimward.edge.dispatch.types import Reply
from rimward.edge.gateways.http.problems import problem_reply

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OWN_SITE = frozenset({"same-origin", "none"})  # values of Sec-Fetch-Site that no foreign page causes
_KNOWN = 256  # Host values whose verdict is remembered


class Guard:
    """Judges requests by the names in them."""

    def __init__(self, hosts: tuple[str, ...], origins: tuple[str, ...]) -> None:
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._verdicts: dict[tuple[str, str], bool] = {}

    def refusal(self, headers: dict[str, str], local: str, *, secure: bool = False) -> Reply | None:
        """Return the answer to who may not call; None lets the request in.

        `local` is the address that the peer has connected to, as Host writes it; `secure` says that the
        connection is TLS. A page of this node's own address is no foreign one.
        """
        host = headers.get("host")
        if host is not None and not self._verdicts.get((host, local)) and not self._is_ours(host, local):
            return problem_reply(421, "this node does not serve that Host", "denied")
        if "origin" in headers:
            return self._of_page(headers["origin"].lower(), host, "https" if secure else "http")
        if headers.get("sec-fetch-site", "none") not in _OWN_SITE:
            return problem_reply(403, "a page of another site may not call this node", "denied")
        return None

    def _of_page(self, origin: str, host: str | None, scheme: str) -> Reply | None:
        if origin in self._origins or (host is not None and origin == f"{scheme}://{host.lower()}"):
            return None
        return problem_reply(403, "pages of this Origin may not call this node", "denied")

    def _is_ours(self, host: str, local: str) -> bool:
        name = host.lower().rpartition(":")[0] if not host.endswith("]") and ":" in host else host.lower()
        ours = name in self._hosts or name == local
        if ours and len(self._verdicts) < _KNOWN:
            self._verdicts[host, local] = True
        return ours
