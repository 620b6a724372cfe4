"""What gateways and dispatch say to each other: messages in, tickets out.

A gateway ends a device's protocol and hands over plain messages; dispatch runs the functions and answers
with a `Ticket` that is done when the message's transaction is. Nothing here does I/O.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from rimward.app.effects import Action
from rimward.events import CloudEvent, RimwardError

Entry = tuple[str, str, bytes | None]  # space, key and value of what is kept on disk; None forgets it
Commits = Callable[["Reply | None", "Refusal | None"], Sequence[Entry]]
"""What a gateway adds to a message's transaction, asked for when its functions have ended.

It is not asked for where the message is refused in words that ask for it again, for then nothing is kept.
"""


class Sender(Struct, frozen=True, gc=False):
    """Who sent a message, as the gateway authenticated them."""

    id: str  # MQTT client id; for HTTP and CoAP the peer's address
    protocol: str  # "mqtt3", "mqtt5", "http", "ws", "coap" or "node"
    user: str | None = None


class Message(Struct, gc=False):
    """One message published by a device to a topic."""

    topic: str
    payload: bytes
    qos: int
    sender: Sender
    read_at: int  # monotonic ns at which its bytes were read
    content_type: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    traceparent: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()  # user properties, where they are a CloudEvent's
    commits: Commits | None = None


class Request(Struct, gc=False):
    """One request of HTTP or CoAP, read whole; or a WebSocket's message, with the request that opened it."""

    method: str  # "WS" for a message on a WebSocket
    path: str  # raw: the router decodes its segments
    query: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    sender: Sender
    read_at: int  # monotonic ns at which its first bytes were read
    commits: Commits | None = None
    raw: bytes | None = None  # the body as it came, where that had a content coding


class Reply(Struct, gc=False):
    """What goes back to the caller."""

    body: bytes = b""
    status: int = 200
    content_type: str | None = None
    headers: dict[str, str] = {}
    event: CloudEvent | None = None  # instead of body and content type; the gateway knows its form
    stream: "AsyncIterator[Piece] | None" = None  # instead of a body; closed by who iterates


class Piece(Struct, gc=False):
    """One value of a stream of replies."""

    body: bytes
    content_type: str | None = None
    id: str | None = None
    name: str | None = None


class Socket(Struct, frozen=True):
    """What a WebSocket opened at a path meets."""

    topic: str | None  # whose actions go to it


class Refusal(Struct, frozen=True, gc=False):
    """Why a message was not taken, before any protocol's own words for it."""

    kind: str  # "payload", "invalid", "denied", "not-found", "conflict", "busy", "failed" or "full"
    detail: str


class PourError(RimwardError):
    """A stream of replies has ended before its time, with a refusal for its caller."""

    code = "stream"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.kind}: {refusal.detail}")
        self.refusal = refusal


class Retained(Struct, frozen=True, gc=False):
    """A topic's last retained message."""

    payload: bytes
    qos: int
    properties: bytes = b"\0"  # of MQTT 5, encoded behind their length, without the expiry
    expires_at: float = 0.0  # monotonic seconds; 0 is never
    older: bytes | None = None  # the payload for MQTT 3.1.1, where it is another one


class Ticket:
    """The promise of an answer to one message."""

    __slots__ = ("done", "matched", "on_done", "refusal", "reply")

    def __init__(self, *, matched: bool = True) -> None:
        self.done: bool = False  # True once the answer may be sent
        self.matched: bool = matched  # False: no function listens here
        self.refusal: Refusal | None = None
        self.reply: Reply | None = None
        self.on_done: Callable[[Ticket], None] | None = None  # called once, on the loop, when not done yet

    def finish(self, refusal: Refusal | None = None) -> None:
        """Mark the answer as ready and tell the gateway."""
        self.done = True
        if refusal is not None:
            self.refusal = refusal
        if self.on_done is not None:
            self.on_done(self)


class Door(Protocol):
    """What a gateway calls; `edge.dispatch` implements it."""

    def message(self, message: Message) -> Ticket | None:
        """Run what listens to the topic; None means taken, with nothing to wait for."""
        ...

    def request(self, request: Request) -> Ticket:
        """Run the one function that serves the route."""
        ...

    def socket(self, path: str) -> Socket | None:
        """Return what a WebSocket at this path meets; None where no function takes its messages."""
        ...


class Watched(Door, Protocol):
    """A door that tells when the answer to a request may have changed."""

    def watch(self, request: Request, changed: Callable[[], None]) -> Callable[[], None] | None:
        """Call `changed` after each change that may change the answer; return what ends it.

        None: no function serves the request.
        """
        ...


class PlainDoor(Door, Protocol):
    """A door with a lane for messages that are a topic and a payload."""

    def plain(self, topic: str, payload: bytes, qos: int, sender: Sender, read_at: int) -> Ticket | None:
        """As `message`, for one that has no more to it: no object is made of it."""
        ...


Ask = Callable[[bytes, Sender, int], bytes | Ticket | None]
"""Runs a request that is a body and no more, of a sender, read at a monotonic ns.

It returns the function's value as JSON, None where it has none, or a ticket that says more. It raises
`BadPayloadError` where the body is not of its type: nothing is run, and `Door.request` tells it in full.
"""


class AskDoor(Protocol):
    """A door's lane for such requests."""

    def known(
        self, method: str, path: str, query: str, content_type: str | None, accept: str | None, /
    ) -> Ask | None:
        """Return what runs them; None where they take the longer way."""
        ...


class Router(Protocol):
    """How actions reach devices; the MQTT broker implements it."""

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> int:
        """Queue a message to every subscriber and return how many there were. Never blocks."""
        ...

    def publish_all(self, actions: Sequence[Action]) -> None:
        """Queue what one call publishes. Never blocks."""
        ...

    def flush(self) -> None:
        """Write the joined output of every session that has some."""
        ...
