"""Who makes a request, and whether it may: Basic [RFC 7617], Bearer [RFC 6750] or the client's certificate.

Asked for each request, since a connection may be a proxy's; a password that was right is remembered. Who has
shown nothing and may not is told to (401); who has shown who it is and may not, is refused (403).
"""

import base64
import binascii
from collections.abc import Callable

from rimward.edge.access import DENIALS, Access, Action, Credentials, Denial, DenialKind, Identity, Pending
from rimward.edge.dispatch.types import Reply, Sender
from rimward.edge.gateways.http.problems import problem_reply
from rimward.edge.gateways.peers import Peer

CHALLENGE = 'Basic realm="rimward", charset="UTF-8", Bearer realm="rimward"'
_MALFORMED = "the Authorization header is none of Basic and Bearer, or not well formed"

Entered = Callable[[Identity | Reply], None]


def enter(
    access: Access, target: tuple[str, str], headers: dict[str, str], peer: Peer, answered: Entered
) -> Pending | None:
    """Tell who makes a request, or the answer to who may not; None where that was told at once.

    `target` is the method and the path. A node without an access file tells that everybody is free.
    """

    def identified(identity: Identity | Denial) -> None:
        if isinstance(identity, Denial):
            answered(denial_reply(identity))
            return
        why = access.may(identity, Action.REQUEST, " ".join(target))
        if why is None:
            answered(identity)
        elif identity.anonymous:
            answered(_challenge("credentials are needed here"))
        else:
            answered(problem_reply(403, why, "denied"))

    credentials = credentials_of(headers, peer)
    if credentials is None:
        answered(_challenge(_MALFORMED))
        return None
    return access.identify(credentials, identified)


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
