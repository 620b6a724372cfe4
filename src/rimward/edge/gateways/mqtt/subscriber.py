"""Who gets messages: a client with its session, which may outlive its connection."""

from typing import TYPE_CHECKING

from rimward.edge.access import Identity
from rimward.edge.dispatch.types import Sender

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.protocols.mqtt import ServerSession, Subscription


class Subscriber:
    """A client's session at the node. Subscriptions belong to it, and messages go to its `session`."""

    __slots__ = ("connection", "filters", "identity", "kept", "sender", "session")

    def __init__(self, sender: Sender, connection: "Connection", identity: Identity) -> None:
        self.sender: Sender = sender
        self.identity: Identity = identity  # whom it belongs to; a reload of the access file renews it
        self.connection: Connection = connection
        self.session: ServerSession = connection.session  # where its messages go now
        self.filters: dict[str, Subscription] = {}  # its subscriptions
        self.kept: bool = False  # it outlives its connection, and its messages above QoS 0 are on disk
