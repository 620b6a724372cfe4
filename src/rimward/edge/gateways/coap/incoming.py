"""One request on its way to its response, over whichever transport it came."""

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from rimward.edge.gateways.peers import Peer
from rimward.protocols.coap import Asked, Message, Observer, Options

if TYPE_CHECKING:
    from rimward.edge.gateways.coap.security import Secured


class Way(Protocol):
    """How responses go back."""

    reliable: bool  # the transport keeps order and loses nothing

    @property
    def largest(self) -> int:
        """Bytes of payload that one message to the peer may have."""
        ...

    @property
    def bert(self) -> bool:
        """Whether blocks may be larger than 1024 bytes."""
        ...

    def hold(self, incoming: "Incoming") -> None:
        """The response takes longer."""
        ...

    def respond(self, incoming: "Incoming", code: int, options: Options, payload: bytes) -> None:
        """Send the response."""
        ...

    def drop(self, incoming: "Incoming") -> None:
        """Send none: nobody wants it."""
        ...

    def reject(self, incoming: "Incoming") -> None:
        """Say that the message is not understood, in the fewest words."""
        ...

    def notify(self, observer: Observer, message: Message, *, confirmable: bool) -> bool:
        """Send a notification; False where there is no room for it now."""
        ...


class Incoming(Struct, eq=False):
    """One request."""

    way: Way
    peer: Peer
    key: Any  # who sent it: an address, or a connection
    handle: Any  # what the way knows it by
    message: Message
    size: int  # bytes that it took
    now: int  # monotonic ns at which it was read
    confirmable: bool = True
    quiet: bool = False  # it went to a group: answered only where there is something to say [RFC 7252 §8.2]
    method: str = ""
    asked: Asked = field(default_factory=Asked)
    secured: "Secured | None" = None  # it came by OSCORE, and is opened

    @property
    def sealed_by(self) -> str | None:
        """The name of the key that answers are protected with."""
        return None if self.secured is None else self.secured.context.name
