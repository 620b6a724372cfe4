"""One HTTP connection: the shell around a session."""

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from rimward.edge.access import Access, Identity, Pending
from rimward.edge.dispatch.types import Reply, Sender
from rimward.edge.gateways.http.crowding import crowded
from rimward.edge.gateways.http.entering import Guest, enter
from rimward.edge.gateways.http.known import KnownHead, pass_by
from rimward.edge.gateways.http.problems import problem_reply
from rimward.edge.gateways.http.streaming import HEADERS, Pour
from rimward.edge.gateways.peers import NOBODY, Peer, peer_of
from rimward.protocols.http import HttpRequest, HttpSession

if TYPE_CHECKING:
    from rimward.edge.gateways.http.gateway import HttpGateway
    from rimward.edge.gateways.websocket.opening import Arrival

_END = b"\r\n\r\n"  # of a head
_TOO_LARGE = frozenset({413, 414, 431})


class Connection(asyncio.Protocol):
    """Reads requests, hands them to the door and writes what is answered, once per read."""

    __slots__ = (
        "_batch",
        "_gateway",
        "_leave_at",
        "_local",
        "_pour",
        "_pours",
        "_reading",
        "_reported",
        "_scheduled",
        "_session",
        "_stuck_since",
        "_transport",
        "identity",
        "peer",
        "pending",
        "sender",
    )

    _transport: asyncio.Transport

    def __init__(self, gateway: "HttpGateway") -> None:
        self._gateway = gateway
        self._session = HttpSession(gateway.limits, gateway.clock())
        self.peer: Peer = NOBODY
        self.sender: Sender = Sender("", "http")
        self.identity: Identity | None = None  # of who opened a socket; None where everybody may
        self.pending: set[Pending] | None = None  # of requests whose caller's password is being checked
        self._pours: deque[Pour] | None = None  # answers in pieces whose turn has not come
        self._pour: Pour | None = None  # the one whose turn it is
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
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=self._gateway.config.max_unsent)
        self.peer = peer_of(transport)
        self.sender = Sender(self.peer.address, "http")
        here: tuple[str, int] | str | None = transport.get_extra_info("sockname")
        if isinstance(here, tuple) and here:  # a peer that is gone already, or a Unix socket, has no address
            self._local = f"[{here[0]}]" if ":" in here[0] else here[0]
        self._gateway.joined(self)

    def data_received(self, data: bytes) -> None:
        """Serve the requests that a read completes; write their answers once."""
        if self._leave_at is not None:
            return
        gateway = self._gateway
        gateway.bytes_in += len(data)
        now = gateway.clock()
        at = data.find(_END) + 4
        known = gateway.known.by_bytes.get(data[:at])
        if (
            known is None
            or not self._is_free(known, len(data) - at)
            or not pass_by(gateway, self, self._session, known, (data[at:], now))
        ):
            self._pump(data, now)
        elif not self._scheduled:
            self._scheduled = True
            gateway.write_later(self)

    def eof_received(self) -> bool:
        """The peer sends no more; it still gets its answers."""
        if self._leave_at is not None:
            return False
        if self._pour is not None:  # who reads events says nothing; now it is gone
            self._pour.cancel()
        self._session.receive_eof()
        self._flush()
        return not self._session.closing

    def pause_writing(self) -> None:
        """The peer does not read its answers: nothing more is read from it."""
        self._stuck_since = self._gateway.clock()
        self._gateway.counters["slow_readers"] += 1
        if self._pour is not None:
            self._pour.pause()
        self._set_reading()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._stuck_since = None
        if self._pour is not None:
            self._pour.resume()
        self._pump(b"", self._gateway.clock())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why it ended does not matter)
        """Forget the connection; answers that come later find nobody."""
        if self._pour is not None:
            self._pour.cancel()
        if self._pours:
            self._gateway.streams -= len(self._pours)
            self._pours.clear()
        self._session.stop()
        for pending in self.pending or ():
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
        """Take no further request; hang up when what is owed is answered. A stream is cut: it has no end."""
        if self._pour is not None:
            self._pour.cancel()
        self._session.stop()
        self._flush()

    def abort(self) -> None:
        """Cut the connection off."""
        self._transport.abort()

    def renew(self, access: Access) -> None:
        """Hold the answer that is sent in pieces to the access file as it is now."""
        if self._pour is not None and not self._pour.may_go_on(access):
            self._gateway.counters["identities_ended"] += 1
            self._pour.cancel()

    def check(self, now: int) -> None:
        """Enforce the deadlines; called about once a second."""
        stuck, leave_at, deadline = self._stuck_since, self._leave_at, self._session.deadline
        if self._pour is not None:
            self._pour.beat(now, self._gateway.heartbeat)
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

    def _is_free(self, known: KnownHead, length: int) -> bool:
        """Whether a request with a known head and as many bytes behind it may be answered at once."""
        gateway = self._gateway
        calm = (overload := gateway.admission.overload) is None or not overload.level
        free = calm and gateway.access.book is None and self._session.idle and self._stuck_since is None
        return free and length == known.length and self._local == known.local

    def write_out(self) -> None:
        """Write what a turn of the loop has put out."""
        self._scheduled = False
        (self._write if self._session.idle else self._later)()

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
        """Let a request in, or say why not: the one place at which it is decided who may call."""
        gateway = self._gateway
        gateway.requests += 1
        refusal = gateway.guard.refusal(request.headers, self._local, secure=self.peer.secure)
        if refusal is not None:
            self.deny(request, refusal, now)
        elif request.method == "OPTIONS" and (told := gateway.cors.preflight(request)) is not None:
            self.answer(request, told, now)
        elif gateway.access.open:
            gateway.known.learn(request, self._local)
            self.admit(request, self, now)
        else:
            enter(gateway.access, self, request, now)

    def deny(self, request: HttpRequest, reply: Reply, now: int) -> None:
        """Refuse who may not call."""
        self._gateway.counters["denied"] += 1
        self.answer(request, reply, now)

    def admit(self, request: HttpRequest, caller: "Connection | Guest", now: int) -> None:
        """Have a request answered that may be made, unless there is no room for it now."""
        if self._gateway.admission.asks and (reply := crowded(self._gateway, caller, request, now)):
            self.answer(request, reply, now)
            return
        if request.upgrade:
            self.sender, self.identity = caller.sender, caller.identity  # a socket's, for all of its time
            if self._gateway.upgrade(self, request, now):
                return
        self._gateway.asker.ask(caller, request, now)

    def answer(self, request: HttpRequest, reply: Reply, now: int, identity: Identity | None = None) -> None:
        """Send an answer, in its turn; one in pieces ends when its identity does."""
        if self._transport.is_closing():
            return
        gateway, session = self._gateway, self._session
        if reply.stream is not None:
            self._open(Pour(self, request, reply, identity), now)
            return
        reply, lines = gateway.finisher.finish(request, reply)
        if "origin" in request.headers:
            lines += gateway.cors.lines(request.headers)
        headers = reply.headers
        if reply.content_type is not None:
            headers = {**headers, "content-type": reply.content_type}
        gateway.count_status(reply.status)
        session.lines = gateway.date + lines
        session.respond(request, reply.status, headers, reply.body, now=now)
        if self._batch or self._scheduled:
            return
        if session.pending or session.held:  # others may be answered in the same turn: one write for all
            self._scheduled = True
            gateway.loop.call_soon(self._later)
        else:
            self._flush()

    def leave_http(self, request: HttpRequest) -> "tuple[Arrival, bytes] | None":
        """Give the transport away, with the bytes that came behind the request; None: others come first."""
        from rimward.edge.gateways.websocket.opening import Arrival

        if self._session.front is not request:
            return None
        self._write()
        headers = request.headers
        lines = self._gateway.cors.lines(headers) if "origin" in headers else b""
        rest = self._session.detach(request)
        self._leave_at = self._gateway.clock()  # nothing more is done here
        if not self._reading:
            self._transport.resume_reading()
        return Arrival(request, self._transport, self.peer, self.sender, lines, self.identity), rest

    # -- answers in pieces

    @property
    def clock(self) -> Any:
        """The gateway's clock, monotonic ns."""
        return self._gateway.clock

    def _open(self, pour: Pour, now: int) -> None:
        """Begin an answer in pieces, now or when the earlier ones are sent."""
        gateway = self._gateway
        if gateway.streams >= gateway.config.max_streams:
            gateway.counters["streams_refused"] += 1
            fields = {"retry-after": str(gateway.config.retry_after)}
            detail = f"{gateway.streams} streams are open, the limit"
            self.answer(pour.request, problem_reply(503, detail, "busy", fields), now)
            return
        gateway.streams += 1
        if self._pours is None:
            self._pours = deque()
        self._pours.append(pour)
        if not self._batch:
            self._flush()

    def _begin_pour(self) -> None:
        """Begin the answer in pieces whose turn has come."""
        assert self._pours is not None
        gateway, session, pour = self._gateway, self._session, self._pours.popleft()
        lines = gateway.cors.lines(pour.request.headers) if "origin" in pour.request.headers else b""
        session.lines = gateway.date + lines
        gateway.count_status(200)
        if session.open(pour.request, 200, HEADERS):
            self._pour = pour
            pour.sent_at = gateway.clock()
            if self._stuck_since is not None:
                pour.pause()
            pour.begin(gateway.tasks)
        else:
            gateway.streams -= 1
        self._write()

    def send_piece(self, request: HttpRequest, data: bytes) -> None:
        """Send a piece of the answer that is open."""
        if not self._transport.is_closing():
            self._session.send(request, data)
            self._write()

    def poured(self, request: HttpRequest) -> None:
        """End the answer that is open."""
        self._pour = None
        self._gateway.streams -= 1
        if self._session.front is request and not self._transport.is_closing():
            self._session.finish(request, self._gateway.clock())
            self._later()

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
        gateway.on_dead(reason, error.detail, self.sender, error.target, error.sample)

    def _write(self) -> None:
        data = self._session.data_to_send()
        if data and not self._transport.is_closing():
            self._gateway.bytes_out += len(data)
            self._transport.write(data)

    def _flush(self) -> None:
        """Write what is ready, and end the connection when it is over."""
        self._write()
        session, pours = self._session, self._pours
        if pours and self._pour is None and session.front is pours[0].request:
            self._begin_pour()
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
        if not self._transport.can_write_eof():  # TLS has an end of its own, which waits for the peer's
            self._transport.close()
            return
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
