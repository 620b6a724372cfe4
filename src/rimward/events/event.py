"""The event that a function may ask for: CloudEvents 1.0 attributes and who sent it."""

from msgspec import Struct


class Event(Struct, frozen=True, gc=False):
    """The event behind a call. `id` is stable over retries and is the idempotency key of cloud functions.

    Where the message carries a CloudEvent, id, source, type, subject, time and traceparent are that one's.
    Credentials (`authorization`, `cookie`) are not among the headers: they stay at the door.
    """

    id: str
    source: str  # //site/node
    type: str
    subject: str  # topic, path or stream
    time: int  # ns since the epoch: the event's own time where it has one, else when it was received
    received_at: int  # ns since the epoch, by the node's clock
    sender: str  # client id of the authenticated sender
    protocol: str
    traceparent: str | None = None
    headers: dict[str, str] = {}  # of the HTTP request, or of the one that opened the WebSocket; lower case
