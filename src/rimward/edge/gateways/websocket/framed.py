"""MQTT over WebSocket [MQTT 5 §6]: binary frames as a stream of bytes, under an ordinary MQTT connection.

Packets need not be aligned with frames [MQTT-6.0.0-2]; a frame that is not binary ends the connection
[MQTT-6.0.0-1].
"""

import asyncio
from typing import TYPE_CHECKING, Any

from rimward.protocols.websocket import WebSocketMessage

if TYPE_CHECKING:
    from rimward.edge.gateways.websocket.connection import WebSocketConnection

SUBPROTOCOL = "mqtt"  # [MQTT-6.0.0-3]
NORMAL, UNSUPPORTED = 1000, 1003  # close codes


class FramedTransport(asyncio.Transport):
    """What an MQTT connection takes for its transport; the socket's handler."""

    def __init__(self, connection: "WebSocketConnection") -> None:
        super().__init__()
        self._connection = connection
        self._protocol: asyncio.Protocol | None = None

    def carry(self, protocol: asyncio.Protocol) -> None:
        """Begin."""
        self._protocol = protocol
        protocol.connection_made(self)

    # -- a connection's handler

    @property
    def busy(self) -> bool:
        """An MQTT session is never over by itself."""
        return False

    def message(self, message: WebSocketMessage, now: int) -> None:
        """Hand over a frame's bytes."""
        del now
        if message.text:
            self._connection.close(UNSUPPORTED, "MQTT is sent in binary frames")
        elif self._protocol is not None and self._connection.session.open:
            self._protocol.data_received(message.data)

    def pause(self) -> None:
        """Keep output: the peer reads too slowly."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume(self) -> None:
        """Write what was kept."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    def lost(self) -> None:
        """The connection is over."""
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(None)

    # -- a transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, as one frame."""
        self._connection.send_now(bytes(data))

    def write_eof(self) -> None:
        """Say goodbye; what the peer still sends is read until it has answered."""
        self._connection.close(NORMAL)

    def can_write_eof(self) -> bool:
        """Tell that a goodbye is not a reset."""
        return True

    def close(self) -> None:
        """Say goodbye once what was written is sent."""
        self._connection.close(NORMAL)

    def abort(self) -> None:
        """Cut the connection off."""
        self._connection.abort()

    def is_closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return not self._connection.session.open or self._connection.transport.is_closing()

    def pause_reading(self) -> None:
        """Read no more."""
        self._connection.listen(again=False)

    def resume_reading(self) -> None:
        """Read again."""
        self._connection.listen(again=True)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Bound what waits for a slow reader."""
        self._connection.transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait."""
        return self._connection.transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the peer."""
        if name == "rimward.peer":
            return self._connection.peer
        return self._connection.transport.get_extra_info(name, default)
