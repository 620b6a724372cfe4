"""Who makes a request, and whether it may: Basic [RFC 7617], Bearer [RFC 6750] or the client's certificate.

Asked for each request, since a connection may be a proxy's; a password that was right is remembered. Who has
shown nothing and may not is told to (401); who has shown who it is and may not, is refused (403).
"""

import base64
import binascii
from typing import TYPE_CHECKING

from rimward.edge.access import DENIALS, Access, Action, Credentials, Denial, DenialKind, Identity, Pending
from rimward.edge.dispatch.types import Reply, Sender
from rimward.edge.gateways.http.problems import problem_reply
from rimward.edge.gateways.peers import Peer
from rimward.protocols.http import HttpRequest

if TYPE_CHECKING:
    from rimward.edge.gateways.http.connection import Connection

CHALLENGE = 'Basic realm="rimward", charset="UTF-8", Bearer realm="rimward"'
_MALFORMED = "the Authorization header is none of Basic and Bearer, or not well formed"

MQTT_PATH = "/mqtt"  # where a WebSocket carries MQTT, whose CONNECT says who it is


class Guest:
    """Who makes one request, on a connection that others may share: a `Caller`."""

    __slots__ = ("_connection", "identity", "sender")

    def __init__(self, connection: "Connection", sender: Sender, identity: Identity) -> None:
        self._connection = connection
        self.sender: Sender = sender
        self.identity: Identity | None = identity

    def answer(self, request: HttpRequest, reply: Reply, now: int) -> None:
        """Send an answer, in its turn."""
        self._connection.answer(request, reply, now, self.identity)


def renewed(access: Access, identity: Identity, method: str, path: str) -> Identity | str:
    """Return an identity as it is by now, or why what it began with that request must end."""
    found = access.renew(identity)
    if isinstance(found, Denial):
        return found.detail
    return access.may(found, Action.REQUEST, f"{method} {path}") or found


def enter(access: Access, connection: "Connection", request: HttpRequest, now: int) -> None:
    """Have a request answered if it may be made, and refused if not; a password's hash may take a while."""
    if request.upgrade and request.path == MQTT_PATH:
        connection.admit(request, connection, now)
        return

    pending: Pending | None = None

    def identified(answer: Identity | Denial) -> None:
        if pending is not None and connection.pending is not None:
            connection.pending.discard(pending)
        refusal = _refusal(access, answer, request)
        if refusal is not None:
            connection.deny(request, refusal, now)
        elif isinstance(answer, Identity):
            connection.admit(request, Guest(connection, sender_of(answer, connection.peer), answer), now)

    credentials = credentials_of(request.headers, connection.peer)
    if credentials is None:
        connection.deny(request, _challenge(_MALFORMED), now)
        return
    pending = access.identify(credentials, identified)
    if pending is not None:
        connection.pending = connection.pending or set()
        connection.pending.add(pending)


def _refusal(access: Access, answer: Identity | Denial, request: HttpRequest) -> Reply | None:
    """Return the answer to who may not make a request."""
    if isinstance(answer, Denial):
        return denial_reply(answer)
    why = access.may(answer, Action.REQUEST, f"{request.method} {request.path}")
    if why is None:
        return None
    if answer.anonymous:
        return _challenge("credentials are needed here")
    return problem_reply(403, why, "denied")


def sender_of(identity: Identity, peer: Peer, protocol: str = "http") -> Sender:
    """Return the sender that functions see: the identity, or the address of who has shown nothing."""
    return Sender(peer.address if identity.anonymous else identity.id, protocol, identity.user)


def credentials_of(headers: dict[str, str], peer: Peer) -> Credentials | None:
    """Return what a request shows; None where that can't be read."""
    header = headers.get("authorization")
    if header is None:
        return Credentials(peer)
    scheme, _, rest = header.partition(" ")
    rest = rest.strip()
    match scheme.lower():
        case "bearer" if rest:
            return Credentials(peer, token=rest)
        case "basic":
            try:
                name, colon, password = base64.b64decode(rest, validate=True).partition(b":")
                username = name.decode()
            except (binascii.Error, UnicodeDecodeError):
                return None
            return Credentials(peer, username=username, password=password) if colon else None
        case _:
            return None


def denial_reply(denial: Denial) -> Reply:
    """Return the answer to who is not believed."""
    status = DENIALS[denial.kind].http
    if status == 401:
        expired = denial.kind is DenialKind.EXPIRED
        return _challenge(denial.detail, ', error="invalid_token"' if expired else "")
    after = {"retry-after": str(max(1, round(denial.retry_after)))}
    return problem_reply(status, denial.detail, denial.kind, after)


def _challenge(detail: str, more: str = "") -> Reply:
    """Return a 401, which says what would do [RFC 9110 §11.6.1]."""
    return problem_reply(401, detail, "credentials", {"www-authenticate": CHALLENGE + more})
