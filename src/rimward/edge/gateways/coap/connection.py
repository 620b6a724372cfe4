"""One CoAP connection over TCP [RFC 8323]: the shell around its session, and the way back."""

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from rimward.edge.gateways.coap.incoming import Incoming
from rimward.edge.gateways.peers import NOBODY, Peer, peer_of
from rimward.protocols.coap import Message, Observer, Options, StreamSession

if TYPE_CHECKING:
    from rimward.edge.gateways.coap.gateway import CoapGateway

_HEAD = 128  # bytes of a message that are not its payload, at most, as far as ours go


class Connection(asyncio.Protocol):
    """Reads requests, and writes what is answered once per read."""

    reliable = True

    __slots__ = (
        "_batch",
        "_gateway",
        "_leave_at",
        "_pending",
        "_session",
        "_stuck_since",
        "_touched",
        "_transport",
        "peer",
    )

    _transport: asyncio.Transport

    def __init__(self, gateway: "CoapGateway") -> None:
        self.peer: Peer = NOBODY
        self._gateway = gateway
        config = gateway.config
        self._touched = gateway.clock()
        self._session = StreamSession(config.max_message, config.csm_timeout, self._touched)
        self._pending = 0  # requests that are not answered
        self._batch = False  # the output is written at the end of the read
        self._stuck_since: int | None = None  # monotonic ns since when the peer does not read
        self._leave_at: int | None = None  # monotonic ns at which a peer that was told goodbye is cut off

    # -- the loop's side

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or say that there are too many."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=self._gateway.config.max_unsent)
        self.peer = peer_of(transport, "coap")
        self._gateway.joined(self)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Serve the requests that a read completes."""
        if self._leave_at is not None:
            return
        gateway, session = self._gateway, self._session
        now = self._touched = gateway.clock()
        gateway.counters["bytes_in"] += len(data)
        self._batch = True
        for message in session.receive_data(data):
            size = len(message.payload) + len(message.token) + 4
            incoming = Incoming(self, self.peer, self, message.token, message, size, now)
            self._pending += 1
            gateway.counters["stream_requests"] += 1
            crowded = session.released or self._pending > gateway.config.bounds.pending_of_peer
            gateway.serving.take(incoming, crowded=crowded)
        self._batch = False
        if session.error is not None:
            gateway.counters["aborted"] += 1
        self._flush()

    def eof_received(self) -> bool:
        """The peer sends no more; it still gets its answers."""
        self._session.released = True
        self._flush()
        return self._leave_at is None

    def pause_writing(self) -> None:
        """The peer does not read: nothing more is read from it, and its notifications wait."""
        self._stuck_since = self._gateway.clock()
        self._gateway.counters["slow_readers"] += 1
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._stuck_since = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
        self._gateway.serving.observing.wake(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why it ended does not matter)
        """Forget the connection and what it observes."""
        self._gateway.left(self)

    # -- the gateway's side

    @property
    def busy(self) -> bool:
        """Whether answers are owed."""
        return self._pending > 0

    def refuse(self) -> None:
        """There are too many connections: say so and hang up."""
        self._session.abort("too many connections")
        self._flush()

    def drain(self) -> None:
        """Take no further request; hang up when what is owed is answered."""
        self._session.release()
        self._flush()

    def abort(self) -> None:
        """Cut the connection off."""
        self._transport.abort()

    def check(self, now: int) -> None:
        """Enforce the deadlines; called about once a second."""
        gateway, deadline = self._gateway, self._session.deadline
        if self._leave_at is not None:
            if now >= self._leave_at:
                self._transport.abort()
        elif self._stuck_since is not None:
            if now - self._stuck_since >= gateway.write_timeout:
                gateway.counters["slow_readers_cut"] += 1
                self._transport.abort()
        elif deadline is not None and now >= deadline:
            gateway.counters["timeouts"] += 1
            self._session.expire(now)
            self._flush()
        elif now - self._touched >= gateway.idle_timeout and not self._pending:
            self._idle(now)

    def _idle(self, now: int) -> None:
        """End a connection that says nothing and wants nothing."""
        if self._gateway.serving.observing.observers.of(self):
            self._touched = now
            return
        self._gateway.counters["timeouts"] += 1
        self._session.release()
        self._flush()

    # -- the way back

    @property
    def bert(self) -> bool:
        """Whether blocks may be larger than 1024 bytes."""
        return self._session.bert

    @property
    def largest(self) -> int:
        """Bytes of payload that one message to the peer may have."""
        return max(self._session.peer_size - _HEAD, 16)

    def hold(self, incoming: Incoming) -> None:
        """The response takes longer: it comes when it comes."""

    def respond(self, incoming: Incoming, code: int, options: Options, payload: bytes) -> None:
        """Send the response."""
        self._pending -= 1
        self._send(Message(code, incoming.message.token, options, payload))

    def drop(self, incoming: Incoming) -> None:  # noqa: ARG002 (nothing is said)
        """Send none."""
        self._pending -= 1
        self._flush()

    def reject(self, incoming: Incoming) -> None:
        """Streams have no reset; a request is always answered."""
        self.drop(incoming)

    def notify(self, observer: Observer, message: Message, *, confirmable: bool) -> bool:  # noqa: ARG002 (streams lose nothing)
        """Send a notification; False while the peer does not read."""
        if self._stuck_since is not None:
            return False
        self._send(message)
        return True

    def _send(self, message: Message) -> None:
        if not self._transport.is_closing() and not self._session.closing:
            self._session.send(message)
        if not self._batch:
            self._flush()

    def _flush(self) -> None:
        """Write what is ready, and end the connection when it is over."""
        session, transport = self._session, self._transport
        data = session.data_to_send()
        if data and not transport.is_closing():
            self._gateway.counters["bytes_out"] += len(data)
            transport.write(data)
        over = session.closing or (session.released and not self._pending)
        if over and self._leave_at is None and not transport.is_closing():
            self._leave_at = self._gateway.clock() + self._gateway.linger
            if session.error is None:
                transport.close()
            else:  # closing with bytes unread resets the connection, and the peer would not read why
                transport.write_eof()
