"""One HTTP connection: the shell around a session."""

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from rimward.edge.access import Identity, Pending
from rimward.edge.dispatch.types import Reply, Request, Sender, Ticket
from rimward.edge.gateways.http.entering import enter, sender_of
from rimward.edge.gateways.http.problems import coding_refusal, complete, problem_reply, refusal_reply
from rimward.edge.gateways.peers import NOBODY, Peer, peer_of
from rimward.observe import Logger, get_logger
from rimward.protocols.http import HttpRequest, HttpSession

if TYPE_CHECKING:
    from rimward.edge.gateways.http.gateway import HttpGateway

log: Logger = get_logger("rimward.http")

_EMPTY = Reply(status=204)
_TOO_LARGE = frozenset({413, 414, 431})


class Connection(asyncio.Protocol):
    """Reads requests, hands them to the door and writes what is answered, once per read."""

    __slots__ = (
        "_batch",
        "_gateway",
        "_leave_at",
        "_local",
        "_peer",
        "_pending",
        "_reading",
        "_reported",
        "_scheduled",
        "_sender",
        "_session",
        "_stuck_since",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(self, gateway: "HttpGateway") -> None:
        self._gateway = gateway
        self._session = HttpSession(gateway.limits, gateway.clock())
        self._peer: Peer = NOBODY
        self._pending: set[Pending] = set()  # requests whose caller's password is being checked
        self._sender = Sender("", "http")
        self._local = ""  # the address that the peer has connected to, as Host writes it
        self._batch = False  # True: the output is written at the end of the read
        self._scheduled = False  # True: the output is written when the loop comes around
        self._reading = True
        self._reported = False  # True: what the peer did wrong is counted
        self._stuck_since: int | None = None  # monotonic ns since when the peer does not read its answers
        self._leave_at: int | None = None  # monotonic ns at which a refused peer is cut off

    # -- the loop's side

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or say that there are too many."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=self._gateway.config.max_unsent)
        self._peer = peer_of(transport)
        self._sender = Sender(self._peer.address, "http")
        here: Any = transport.get_extra_info("sockname")
        if here and not isinstance(here, str):  # it has no name where the peer is gone already
            self._local = f"[{here[0]}]" if ":" in here[0] else here[0]
        self._gateway.joined(self)

    def data_received(self, data: bytes) -> None:
        """Serve the requests that a read completes; write their answers once."""
        if self._leave_at is not None:
            return
        gateway = self._gateway
        gateway.bytes_in += len(data)
        self._pump(data, gateway.clock())

    def eof_received(self) -> bool:
        """The peer sends no more; it still gets its answers."""
        if self._leave_at is not None:
            return False
        self._session.receive_eof()
        self._flush()
        return not self._session.closing

    def pause_writing(self) -> None:
        """The peer does not read its answers: nothing more is read from it."""
        self._stuck_since = self._gateway.clock()
        self._gateway.counters["slow_readers"] += 1
        self._set_reading()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._stuck_since = None
        self._pump(b"", self._gateway.clock())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why it ended does not matter)
        """Forget the connection; answers that come later find nobody."""
        self._session.stop()
        for pending in self._pending:
            pending.cancel()
        self._gateway.left(self)

    # -- the gateway's side

    @property
    def busy(self) -> bool:
        """Whether answers are owed."""
        return self._session.pending > 0

    def refuse(self) -> None:
        """There are too many connections: say so and hang up."""
        head = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: %d\r\n" % self._gateway.config.retry_after
        self._transport.write(head + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self._session.stop()
        self._transport.close()

    def drain(self) -> None:
        """Take no further request; hang up when what is owed is answered."""
        self._session.stop()
        self._flush()

    def abort(self) -> None:
        """Cut the connection off."""
        self._transport.abort()

    def check(self, now: int) -> None:
        """Enforce the deadlines; called about once a second."""
        stuck, leave_at, deadline = self._stuck_since, self._leave_at, self._session.deadline
        if leave_at is not None:
            if now >= leave_at:
                self._transport.abort()
        elif stuck is not None:
            if now - stuck >= self._gateway.write_timeout:
                self._gateway.counters["slow_readers_cut"] += 1
                self._transport.abort()
        elif deadline is not None and now >= deadline:
            self._gateway.counters["timeouts"] += 1
            self._session.expire(now)
            if self._session.error is not None:
                self._reported = True
                self._gateway.count_status(408)
            self._flush()

    # -- requests and answers

    def _pump(self, data: bytes, now: int) -> None:
        session = self._session
        self._batch = True
        while True:
            for request in session.receive_data(data, now):
                self._take(request, now)
            data = b""
            if not session.held or session.full or self._stuck_since is not None:
                break
            self._write()
        self._batch = False
        if session.error is not None and not self._reported:
            self._report()
        self._flush()

    def _take(self, request: HttpRequest, now: int) -> None:
        gateway = self._gateway
        gateway.requests += 1
        refusal = gateway.guard.refusal(
            request.headers, self._local, secure=self._peer.secure
        ) or coding_refusal(request.headers)
        if refusal is not None:
            gateway.counters["denied"] += 1
            self._answer(request, refusal, now)
        elif gateway.access.open:
            self._ask(request, self._sender, now)
        else:
            self._enter(request, now)

    def _enter(self, request: HttpRequest, now: int) -> None:
        """Find out who asks, then ask for it."""
        pending: Pending | None = None

        def entered(answer: Identity | Reply) -> None:
            if pending is not None:
                self._pending.discard(pending)
            if isinstance(answer, Reply):
                self._gateway.counters["denied"] += 1
                self._answer(request, answer, now)
            else:
                self._ask(request, sender_of(answer, self._peer), now)

        target = (request.method, request.path)
        pending = enter(self._gateway.access, target, request.headers, self._peer, entered)
        if pending is not None:
            self._pending.add(pending)

    def _ask(self, request: HttpRequest, sender: Sender, now: int) -> None:
        gateway = self._gateway
        message = Request(
            request.method,
            request.path,
            request.query,
            request.headers,
            request.body,
            sender,
            now,
        )
        try:
            ticket = gateway.door.request(message)
        except Exception:  # the outermost edge: one broken request must not end the connections of others
            log.exception("a request failed inside the node")
            gateway.counters["failed"] += 1
            self._answer(request, problem_reply(500, "the node failed", "failed"), now)
            return
        if ticket.done:
            self._answered(request, ticket, now)
        else:
            ticket.on_done = lambda done: self._answered(request, done, gateway.clock())

    def _answered(self, request: HttpRequest, ticket: Ticket, now: int) -> None:
        if ticket.refusal is not None:
            reply = refusal_reply(ticket.refusal, self._gateway.config.retry_after)
        elif ticket.reply is None:
            reply = _EMPTY
        else:
            reply = complete(ticket.reply)
        self._answer(request, reply, now)

    def _answer(self, request: HttpRequest, reply: Reply, now: int) -> None:
        if self._transport.is_closing():
            return
        headers = reply.headers
        if reply.content_type is not None:
            headers = {**headers, "content-type": reply.content_type}
        gateway, session = self._gateway, self._session
        gateway.count_status(reply.status)
        session.date = gateway.date
        session.respond(request, reply.status, headers, reply.body, now=now)
        if self._batch or self._scheduled:
            return
        if session.pending or session.held:  # others may be answered in the same turn: one write for all
            self._scheduled = True
            gateway.loop.call_soon(self._later)
        else:
            self._flush()

    def _later(self) -> None:
        self._scheduled = False
        if self._session.held and self._stuck_since is None:
            self._pump(b"", self._gateway.clock())
        else:
            self._flush()

    def _report(self) -> None:
        """Keep what could not be taken, with the reason; a request that was merely slow is no event."""
        error, gateway = self._session.error, self._gateway
        assert error is not None
        self._reported = True
        gateway.count_status(error.status)
        gateway.counters["refused"] += 1
        reason = "too-large" if error.status in _TOO_LARGE else "undecodable"
        gateway.on_dead(reason, error.detail, self._sender, error.target, error.sample)

    def _write(self) -> None:
        data = self._session.data_to_send()
        if data and not self._transport.is_closing():
            self._gateway.bytes_out += len(data)
            self._transport.write(data)

    def _flush(self) -> None:
        """Write what is ready, and end the connection when it is over."""
        self._write()
        session = self._session
        if not session.closing:
            self._set_reading()
        elif self._leave_at is None and not self._transport.is_closing():
            self._leave()

    def _leave(self) -> None:
        """Let the peer read the answer: closing with bytes unread resets the connection [RFC 9112 §9.6]."""
        gateway = self._gateway
        if self._session.error is None:
            self._leave_at = gateway.clock() + gateway.write_timeout
            self._transport.close()
            return
        self._leave_at = gateway.clock() + round(gateway.config.linger * 1e9)
        self._transport.write_eof()
        self._set_reading()

    def _set_reading(self) -> None:
        wanted = self._leave_at is not None or (self._stuck_since is None and not self._session.held)
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
