"""Heads that came before: a caller sends the same one again and again, and it means the same each time.

A head is known by its bytes, whole; what it asks for has been judged by the longer way and is remembered only
where that does not depend on who calls, on other requests or on fields that functions may see.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from rimward.edge.dispatch.payloads import BadPayloadError
from rimward.edge.dispatch.types import Ask, AskDoor, Refusal, Reply, Ticket
from rimward.edge.gateways.http.asking import Caller
from rimward.edge.gateways.http.finishing import tag_line
from rimward.protocols.http import HttpRequest, HttpSession
from rimward.protocols.http.responses import encode_head

if TYPE_CHECKING:
    from rimward.edge.gateways.http.gateway import HttpGateway

_FIELDS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
)
_BROKEN = Ticket()
_BROKEN.finish(Refusal("failed", "the node failed"))
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_JSON = b"content-type: application/json\r\ncontent-length: "


class KnownHead(Struct, frozen=True, gc=False):
    """A head that came before."""

    ask: Ask
    length: int  # bytes of its body
    local: str  # the address that it was sent to, by which its Host was judged
    tagged: bool  # its answer has an entity tag
    method: str
    path: str
    query: str
    headers: dict[str, str]

    def request(self, body: bytes) -> HttpRequest:
        """Return a request with this head as the longer way reads it."""
        return HttpRequest(
            self.method, self.path, self.query, self.headers.copy(), 1, keep_alive=True, body=body
        )


class KnownHeads:
    """The heads that callers of one gateway have sent, and the answers' heads of this second."""

    def __init__(self, lane: AskDoor | None, size: int) -> None:
        """`size`: how many are remembered; beyond it the memory starts anew. Without a lane: none."""
        self.by_bytes: dict[bytes, KnownHead | None] = {}  # None: it takes the longer way each time
        self.forgotten: int = 0
        self._lane = self._own = lane
        self._size = size
        self.tell_time(b"")

    def pause(self) -> None:
        """Let every request take the longer way, until `resume`."""
        self._lane = None
        self.by_bytes.clear()

    def resume(self) -> None:
        """Learn heads again."""
        self._lane = self._own
        self.by_bytes.clear()

    def forget(self) -> None:
        """Forget all heads: what they ask for may be another function."""
        self.by_bytes.clear()

    def tell_time(self, date: bytes) -> None:
        """Take the line that tells the date."""
        self._begin: bytes = b"HTTP/1.1 200 OK\r\n" + date
        self._json: bytes = self._begin + _JSON
        self._empty: bytes = encode_head(204, date, None, b"")

    def learn(self, request: HttpRequest, local: str) -> None:
        """Remember the head of a request that everybody may make."""
        head, known = request.head, self.by_bytes
        if self._lane is None or not head:
            return
        if head in known and ((before := known[head]) is None or before.local == local):
            return
        if len(known) >= self._size:
            self.forgotten += len(known)
            known.clear()
        known[head] = _known(self._lane, request, local)

    def answer(self, known: KnownHead, body: bytes | None) -> bytes:
        """Return what the longer way would send: 204, or 200 with a short body of JSON."""
        if body is None:
            return self._empty
        if not known.tagged:
            return b"%b%d\r\n\r\n%b" % (self._json, len(body), body)
        return b"%b%b%b%d\r\n\r\n%b" % (self._begin, tag_line(body), _JSON, len(body), body)


def pass_by(
    gateway: "HttpGateway", caller: Caller, session: HttpSession, known: KnownHead, read: tuple[bytes, int]
) -> bool:
    """Answer a request of which the body was read at a monotonic ns; False where the longer way must.

    The session is idle and has not seen it.
    """
    body, now = read
    try:
        given = known.ask(body, caller.sender, now)
    except BadPayloadError:
        return False
    except Exception:  # noqa: BLE001 (the outermost edge, as for all requests)
        gateway.asker.broken()
        given = _BROKEN
    gateway.requests += 1
    if given is None or (type(given) is bytes and len(given) < gateway.finisher.compress_from):
        gateway.count_status(200)
        session.pass_by(gateway.known.answer(known, given), now)
        return True
    ticket = given if isinstance(given, Ticket) else _told(given)
    request = known.request(body)
    session.take(request)
    gateway.asker.settle(caller, request, ticket, now)
    return True


def _told(body: bytes) -> Ticket:
    ticket = Ticket()
    ticket.reply = Reply(body, content_type="application/json")
    ticket.finish()
    return ticket


def _known(lane: AskDoor, request: HttpRequest, local: str) -> KnownHead | None:
    headers, method = request.headers, request.method
    if (
        method not in _METHODS
        or request.version == 0
        or not request.keep_alive
        or not headers.keys() <= _FIELDS
    ):
        return None
    path, query = request.path, request.query
    ask = lane.known(method, path, query, headers.get("content-type"), headers.get("accept"))
    if ask is None:
        return None
    return KnownHead(ask, len(request.body), local, method == "GET", method, path, query, headers.copy())
