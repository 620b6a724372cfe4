"""What a connection asks of its gateway."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from rimward.edge.access import Access, Identity
from rimward.edge.dispatch.types import PlainDoor, Sender, Ticket
from rimward.edge.gateways.mqtt.broker import Broker
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.sessions import Sessions
from rimward.protocols.mqtt import Connect, SessionLimits

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection


class Gate(Protocol):
    """The gateway, as its connections see it."""

    access: Access
    door: PlainDoor
    broker: Broker
    sessions: Sessions
    clock: Callable[[], int]  # monotonic ns
    config: MqttConfig
    limits: SessionLimits
    topics: dict[bytes, str]
    counters: dict[str, int]
    on_dead: Callable[[str, str, Sender, str, bytes], Ticket]
    reading: bool
    unwritten: int  # bytes read since output was last written
    packets_in: int
    packets_out: int

    def welcome(self, connection: "Connection") -> bool:
        """Hear a client's CONNECT before anything is asked; False where it is refused for what it costs."""
        ...

    def admit(self, connection: "Connection", packet: Connect, identity: Identity) -> Sender | None:
        """Name the sender of a new session; None where it is refused, which the session then says."""
        ...

    def watch(self, connection: "Connection", deadline: float) -> None:
        """Look at a connection again at a time in monotonic seconds."""
        ...

    def opened(self, connection: "Connection") -> bool:
        """Count a connection in; False where there is no room."""
        ...

    def lost(self, connection: "Connection") -> None:
        """Count a connection out."""
        ...

    def count(self, name: str) -> None:
        """Count what happened."""
        ...

    def flush(self) -> None:
        """Write all output."""
        ...

    def flush_soon(self) -> None:
        """Write all output when the read, or this turn of the loop, is over."""
        ...
