"""A connection in memory: the node's protocol on one end, a client of the Site on the other."""

import asyncio
from typing import Any, Protocol

from rimward.testing.clock import Loop

HERE = ("127.0.0.1", 0)


class Peer(Protocol):
    """The client's end."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the node."""
        ...

    def ended(self, *, killed: bool) -> None:
        """Learn that the connection is over; `killed` tells that the node died."""
        ...


class Line(asyncio.Transport):
    """The node's transport. Bytes arrive in a later turn, whole and in order, as on a perfect network."""

    def __init__(self, protocol: asyncio.Protocol, peer: Peer, node: Loop, outside: Loop) -> None:
        """Things happen to the protocol on the loop `node`, to the peer on the loop `outside`."""
        super().__init__()
        self._protocol = protocol
        self._peer = peer
        self._node = node
        self._outside = outside
        self._paused = False
        self._inbound: list[bytes] = []
        self._open = True  # the node may write
        self._over = False
        protocol.connection_made(self)

    @property
    def over(self) -> bool:
        """Whether the connection has ended."""
        return self._over

    # -- the client's end

    def send(self, data: bytes) -> None:
        """Send bytes to the node."""
        if not self._over:
            self._inbound.append(data)
            self._node.call_soon(self._arrive)

    def hang_up(self) -> None:
        """End the connection from the client's side."""
        self._end(killed=False)

    def cut(self) -> None:
        """The node has died."""
        self._end(killed=True)

    def _arrive(self) -> None:
        if self._inbound and not self._paused and not self._over:
            data = b"".join(self._inbound)
            self._inbound.clear()
            self._protocol.data_received(data)

    def _end(self, *, killed: bool) -> None:
        if self._over:
            return
        self._over, self._open = True, False
        self._outside.call_soon(lambda: self._peer.ended(killed=killed))
        if not killed:
            self._node.call_soon(lambda: self._protocol.connection_lost(None))

    # -- the node's end

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Go on with another protocol, as WebSocket does after HTTP."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes to the client."""
        if self._open:
            sent = bytes(data)
            self._outside.call_soon(lambda: self._peer.receive(sent))

    def write_eof(self) -> None:
        """Send no more; a client that hears so hangs up."""
        self._open = False
        self._outside.call_soon(self.hang_up)

    def can_write_eof(self) -> bool:
        """Tell that half of the connection can be closed."""
        return True

    def close(self) -> None:
        """End the connection once what was written has arrived."""
        self._open = False
        self._outside.call_soon(self.hang_up)

    def abort(self) -> None:
        """End the connection."""
        self._end(killed=False)

    def is_closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return not self._open

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._paused = True

    def resume_reading(self) -> None:
        """Take what was kept."""
        self._paused = False
        self._node.call_soon(self._arrive)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the addresses; there is no socket."""
        return HERE if name in {"peername", "sockname"} else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""
