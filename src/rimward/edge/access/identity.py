"""Who somebody is, what shows it, and why it was not believed."""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from rimward.edge.access.grants import Action, Grants, Patterns, Who
from rimward.edge.dispatch.routes import path_segments
from rimward.edge.gateways.peers import Peer
from rimward.protocols.mqtt.topics import MAX_BYTES

MAX_ID = 256  # characters of a device's id or a user's name
TOKEN_PREFIX = "rim_"  # noqa: S105 (what tokens of ours begin with)


class Credentials(Struct, frozen=True):
    """What a peer shows. A gateway fills in what its protocol has; the peer brings its certificate."""

    peer: Peer
    client_id: str = ""  # as MQTT has it; "" where there is none, or the node is to name it
    username: str | None = None
    password: bytes | None = None  # MQTT: may be a token instead
    token: str | None = None  # of a Bearer header


class Badge(Struct, frozen=True):
    """An identity as it can be kept on disk: everything but what the access file says of it.

    `owner` is whom a session belongs to: another client with another owner can't take it over.
    """

    kind: str  # "free", "anyone", "device", "certificate" or "jwt"
    id: str = ""
    user: str | None = None
    entry: str = ""  # the id of the access file's device, or the issuer
    proof: str = ""  # a digest of the secret as the access file has it
    roles: tuple[str, ...] = ()
    rules: tuple[Patterns, ...] = ()  # that a token brings along
    until: int | None = None  # wall ns at which a token ends

    @property
    def owner(self) -> str:
        """Return whom a session belongs to: it stays the same when the secret is changed."""
        if self.kind in {"free", "anyone"}:
            return f"user:{self.user}" if self.user is not None else ""
        return f"{self.kind}:{self.entry}:{self.id}"


class Identity(Struct, frozen=True):
    """Who a peer is and what it may do.

    `free` is everyone where no access file is: nothing is asked of it, and the fast lane stays as it is.
    """

    badge: Badge
    grants: Grants | None  # None: everything

    @property
    def id(self) -> str:
        """Return the device's id: the first capture that it may fill, and {client} in rules."""
        return self.badge.id

    @property
    def user(self) -> str | None:
        """Return the user's name: {user} in rules."""
        return self.badge.user

    @property
    def owner(self) -> str:
        """Return whom a session belongs to."""
        return self.badge.owner

    def may_take_over(self, other: "Identity") -> bool:
        """Tell whether a session of another identity may become this one's.

        What was left by somebody who has shown nothing goes to whoever shows who it is, for else anybody
        could keep a device out by its client id.
        """
        return other.owner in {self.owner, ""}

    @property
    def free(self) -> bool:
        """Whether nothing needs to be asked."""
        return self.grants is None

    @property
    def anonymous(self) -> bool:
        """Whether nobody has shown who it is."""
        return self.badge.kind in {"free", "anyone"}

    def may(self, action: Action, what: str) -> str | None:
        """Tell why something is not allowed; None where it is.

        `what` is a topic, a filter for SUBSCRIBE, a path for OBSERVE, and for REQUEST a method and a path.
        """
        if self.grants is None or self._is_allowed(self.grants, action, what):
            return None
        name = "an anonymous caller" if self.anonymous else f"{self.badge.id}"
        return f"{name} may not {_WORDS[action]} {what[:MAX_BYTES]}"

    def _is_allowed(self, grants: Grants, action: Action, what: str) -> bool:
        who = Who(None, None) if self.anonymous else Who(self.badge.id, self.badge.user)
        match action:
            case Action.PUBLISH | Action.RECEIVE:
                return grants.topic(action, what, who)
            case Action.SUBSCRIBE:
                return grants.filter(bare_filter(what), who)
            case Action.REQUEST:
                method, _, path = what.partition(" ")
                segments = path_segments(path)
                return segments is not None and grants.request(method, segments, who)
            case Action.OBSERVE:
                segments = path_segments(what)
                return segments is not None and grants.observe(segments, who)


_WORDS = {
    Action.PUBLISH: "publish to",
    Action.SUBSCRIBE: "subscribe to",
    Action.RECEIVE: "receive from",
    Action.REQUEST: "ask for",
    Action.OBSERVE: "observe",
}


def bare_filter(topic_filter: str) -> str:
    """Return a filter without the part that shares it, `$share/GROUP/` [5: 4.8.2]."""
    if not topic_filter.startswith("$share/"):
        return topic_filter
    return topic_filter.split("/", 2)[-1]


def id_problem(text: str) -> str | None:
    """Tell why a text can't be a device's id or a user's name; None where it can.

    It stands in topics and paths, so it has nothing that would make two levels of it, or a wildcard.
    """
    if not text or len(text) > MAX_ID:
        return f"it has {len(text)} characters, from 1 to {MAX_ID} are allowed"
    if text.startswith("$"):
        return "it starts with $, as only the node's own topics do"
    if any(character in "/+#{}" or not character.isprintable() for character in text):
        return "it has one of / + # { }, or a control character"
    if "%2f" in text.lower():
        return "it has %2F, which is read as / elsewhere"
    return None


class DenialKind(StrEnum):
    """Why somebody was not let in; docs/access.md has the words of each protocol."""

    CREDENTIALS = "credentials"  # missing, unknown or wrong: which of them is not told
    CLIENT_ID = "client-id"  # they are right, and not for this client id
    EXPIRED = "expired"  # a token whose time is over, or has not come
    THROTTLED = "throttled"  # too many failures from this address
    BUSY = "busy"  # too many passwords wait to be checked


class Words(Struct, frozen=True):
    """One kind of denial in each protocol's words."""

    http: int  # status
    mqtt5: int  # reason code of the CONNACK
    coap: str  # response code


DENIALS: dict[DenialKind, Words] = {
    DenialKind.CREDENTIALS: Words(401, 0x86, "4.01"),
    DenialKind.CLIENT_ID: Words(401, 0x85, "4.01"),
    DenialKind.EXPIRED: Words(401, 0x86, "4.01"),
    DenialKind.THROTTLED: Words(429, 0x9F, "4.29"),
    DenialKind.BUSY: Words(503, 0x89, "5.03"),
}


class Denial(Struct, frozen=True):
    """Why somebody was not let in."""

    kind: DenialKind
    detail: str
    retry_after: float = 0.0  # seconds after which it may be tried again; 0 where that changes nothing


Answered = Callable[[Identity | Denial], None]


class Pending:
    """An identification that is not at its end: a password waits for its hash."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Give up: `answered` is not called any more, and what was not begun is left out."""
        self.cancelled: bool = True


def free(client_id: str, user: str | None = None) -> Identity:
    """Return who everyone is where no access file is: whoever they say."""
    return Identity(Badge("free", client_id, user), None)


def looks_like_jwt(text: str) -> bool:
    """Tell whether a text has the form of a JSON Web Token, as a password may."""
    return text.startswith("eyJ") and text.count(".") == 2
