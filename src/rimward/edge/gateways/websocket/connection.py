"""One open WebSocket: the shell around its session. What its messages mean is its handler's matter."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from rimward.edge.access import Access, Identity
from rimward.edge.dispatch.types import Sender
from rimward.edge.gateways.admission import Admission
from rimward.edge.gateways.http.config import HttpConfig
from rimward.edge.gateways.http.entering import renewed
from rimward.edge.gateways.peers import Peer
from rimward.edge.gateways.turns import Turns
from rimward.protocols.websocket import WebSocketMessage, WebSocketSession

_SAMPLE = 4096  # bytes of what could not be taken that are kept
GOING_AWAY, POLICY, TOO_BIG, INTERNAL_ERROR = 1001, 1008, 1009, 1011  # close codes [RFC 6455 §7.4.1]


class Gate(Protocol):
    """The HTTP gateway, as its sockets see it."""

    config: HttpConfig
    clock: Callable[[], int]  # monotonic ns
    loop: Turns
    counters: dict[str, int]
    admission: Admission
    bytes_in: int
    bytes_out: int
    on_dead: Callable[[str, str, Sender, str, bytes], object]
    write_timeout: int  # ns
    tasks: set[asyncio.Task[None]]  # of answers in pieces

    def left(self, connection: "WebSocketConnection", /) -> None:
        """Count a connection out."""
        ...


class Handler(Protocol):
    """What a socket's messages are for."""

    @property
    def busy(self) -> bool:
        """Whether answers are owed."""
        ...

    def message(self, message: WebSocketMessage, now: int) -> None:
        """Take a message."""
        ...

    def pause(self) -> None:
        """Send nothing of your own accord: the peer reads too slowly."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...

    def lost(self) -> None:
        """The connection is over."""
        ...


class WebSocketConnection(asyncio.Protocol):
    """Reads messages and writes what is sent, once a read or a turn of the loop."""

    handler: Handler

    def __init__(self, gate: Gate, transport: asyncio.Transport, sender: Sender, peer: Peer) -> None:
        self.sender = sender
        self.peer = peer
        self.path: str = ""
        self.identity: Identity | None = None  # of who opened it; None where everybody may
        self.session: WebSocketSession = WebSocketSession(gate.config.max_message)
        self.gate = gate
        self.transport = transport
        self._heard_at = gate.clock()
        self._pinged = False  # a ping is out and nothing has come since
        self._reading = True
        self._draining = False
        self._batch = False  # True: the output is written at the end of the read
        self._scheduled = False  # True: it is written when the loop comes around
        self._stuck_since: int | None = None  # monotonic ns since when the peer does not read
        self._leave_at: int | None = None  # monotonic ns at which it is cut off

    # -- the loop's side

    def data_received(self, data: bytes) -> None:
        """Hand over the messages that a read completes."""
        gate, session = self.gate, self.session
        gate.bytes_in += len(data)
        self._heard_at = now = gate.clock()
        self._pinged = False
        self._batch = True
        for message in session.receive_data(data):
            gate.counters["socket_messages"] += 1
            self.handler.message(message, now)
        self._batch = False
        if session.failure is not None and self._leave_at is None:
            self._report(session.failure, data)
        self.flush()

    def eof_received(self) -> None:
        """The peer has hung up."""
        self.session.receive_eof()

    def pause_writing(self) -> None:
        """The peer reads too slowly: it is asked for nothing more, and told nothing of our own accord."""
        self._stuck_since = self.gate.clock()
        self.gate.counters["slow_readers"] += 1
        self.handler.pause()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._stuck_since = None
        self.handler.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (why it ended does not matter)
        """Forget the connection."""
        self.session.receive_eof()
        self.handler.lost()
        self.gate.left(self)

    # -- the handler's side

    @property
    def stuck(self) -> bool:
        """Whether the peer reads too slowly."""
        return self._stuck_since is not None

    def send(self, data: bytes, *, text: bool) -> None:
        """Send a message when the read, or the turn of the loop, is over; after the goodbye it is dropped."""
        if not self.session.open:
            self.gate.counters["socket_answers_dropped"] += 1
            return
        self.session.send(data, text=text)
        if not self._batch and not self._scheduled:
            self._scheduled = True
            self.gate.loop.call_soon(self._later)

    def send_now(self, data: bytes) -> None:
        """Send a binary message; whoever calls this has joined its output already."""
        self.session.send(data, text=False)
        if not self._batch:
            self.flush()

    def listen(self, *, again: bool) -> None:
        """Read no more, or read again."""
        if again == self._reading or self.transport.is_closing():
            return
        if again and self._draining and self._leave_at is None:
            return
        self._reading = again
        if again:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; who does not answer in time is cut off."""
        self.session.close(code, reason)
        self.flush()

    def flush(self) -> None:
        """Write what is ready; close the connection when it is over."""
        data = self.session.data_to_send()
        transport = self.transport
        if transport.is_closing():
            return
        if data:
            self.gate.bytes_out += len(data)
            transport.write(data)
        if self.session.over and self.session.failure is None:
            transport.close()
        elif not self.session.open and self._leave_at is None:
            self._leave_at = self.gate.clock() + round(self.gate.config.linger * 1e9)
            if self.session.over and transport.can_write_eof():
                transport.write_eof()  # closing with bytes unread would reset the reason away
            elif self.session.over:
                transport.close()  # TLS has an end of its own, which waits for the peer's
            self.listen(again=True)  # else the peer's own end is not seen

    # -- the gateway's side

    @property
    def busy(self) -> bool:
        """Whether answers are owed."""
        return self.handler.busy

    def drain(self) -> None:
        """The node stops: take nothing more, and say goodbye when what is owed is answered."""
        self._draining = True
        self.listen(again=False)
        self.settled()

    def settled(self) -> None:
        """Learn that nothing is owed any more, for now."""
        if self._draining and not self.handler.busy:
            self.close(GOING_AWAY, "the node stops")

    def abort(self) -> None:
        """Cut the connection off."""
        self.transport.abort()

    def renew(self, access: Access) -> None:
        """Say goodbye to who is not who it was, or may not have opened the socket any more."""
        if self.identity is None:
            return
        found = renewed(access, self.identity, "GET", self.path)
        if isinstance(found, str):
            self.gate.counters["identities_ended"] += 1
            self.close(POLICY, found)
        else:
            self.identity = found

    def check(self, now: int) -> None:
        """Enforce the deadlines; called about once a second."""
        stuck, leave_at, gate = self._stuck_since, self._leave_at, self.gate
        interval = round(gate.config.ping_interval * 1e9)
        if leave_at is not None and now >= leave_at:
            self.transport.abort()
        elif stuck is not None:
            if now - stuck >= gate.write_timeout:
                gate.counters["slow_readers_cut"] += 1
                self.transport.abort()
        elif not self._reading or leave_at is not None:
            self._heard_at = now  # it can't be heard while it is not read
        elif self._pinged and now - self._heard_at >= 2 * interval:
            gate.counters["timeouts"] += 1
            self.close(INTERNAL_ERROR, "no sign of life")
        elif not self._pinged and now - self._heard_at >= interval:
            self._pinged = True
            self.session.ping()
            self.flush()

    # -- own

    def _later(self) -> None:
        self._scheduled = False
        self.flush()

    def _report(self, failure: tuple[int, str], data: bytes) -> None:
        code, words = failure
        gate = self.gate
        gate.counters["refused"] += 1
        reason = "too-large" if code == TOO_BIG else "undecodable"
        gate.on_dead(reason, f"{code}: {words}", self.sender, self.path, data[:_SAMPLE])
