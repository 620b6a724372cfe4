"""CoAP over UDP: a bound socket, read in batches, around an endpoint."""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rimward.edge.gateways.coap.commanding import Question
from rimward.edge.gateways.coap.incoming import Incoming
from rimward.protocols.coap import Endpoint, Exchange, Message, Observer, Options

if TYPE_CHECKING:
    from rimward.edge.gateways.coap.gateway import CoapGateway

BATCH = 64  # datagrams that are read before others get their turn
LARGEST = 65_536  # bytes


class Datagrams:
    """One UDP socket: the way back for everything that came by it."""

    reliable = False
    bert = False

    def __init__(self, gateway: "CoapGateway", endpoint: Endpoint) -> None:
        self.endpoint: Endpoint = endpoint
        self.largest: int = gateway.config.block
        self.unsent: int = 0  # datagrams that the kernel had no room for
        self._gateway = gateway
        self._send: Callable[[bytes, Any], object] | None = None
        self._sock: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0  # monotonic ns for which the timer is set
        self._batch = False  # what is to be sent leaves at the end of the batch
        endpoint.sending.settled = self._settled
        endpoint.answered = gateway.serving.commanding.answered
        gateway.serving.commanding.sent = self._sent

    def connect(self, send: Callable[[bytes, Any], object]) -> None:
        """Send datagrams this way, where there is no socket."""
        self._send = send

    # -- the loop's side

    def listen(self, sock: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        """Read from a bound socket."""
        sock.setblocking(False)
        self._sock, self._loop, self._send = sock, loop, sock.sendto
        loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        sock = self._sock
        assert sock is not None
        self._batch = True
        try:
            for _ in range(BATCH):
                data, address = sock.recvfrom(LARGEST)
                self.datagram(data, address)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._gateway.counters["socket_errors"] += 1  # what an earlier datagram of ours has met
        finally:
            self._batch = False
        self.flush()

    def datagram(self, data: bytes, address: Any, *, quiet: bool = False) -> None:
        """Take a datagram; `quiet` tells that it went to a group."""
        gateway, endpoint = self._gateway, self.endpoint
        now = gateway.clock()
        exchange = endpoint.receive(data, address, now)
        if exchange is not None:
            assert exchange.message is not None
            peer = gateway.trust.peer(address)
            incoming = Incoming(
                self, peer, address, exchange, exchange.message, len(data), now, exchange.confirmable, quiet
            )
            gateway.serving.take(incoming, crowded=endpoint.full or endpoint.crowded(address))
        if not self._batch:
            self.flush()

    def flush(self) -> None:
        """Send what waits, and set the timer."""
        outgoing, send = self.endpoint.outgoing, self._send
        for data, address in outgoing:
            try:
                assert send is not None
                send(data, address)
            except OSError:
                self.unsent += 1  # it is lost as others are on the way, and sent again as they are
        outgoing.clear()
        if self._loop is not None:
            self._set_timer(self._loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        deadline = self.endpoint.deadline
        if deadline is None or (self._timer is not None and self._due <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = deadline
        self._timer = loop.call_later(max(deadline - self._gateway.clock(), 0) / 1e9, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.look()

    def look(self) -> None:
        """Send again what is due."""
        self.endpoint.expire(self._gateway.clock())
        self.flush()

    @property
    def busy(self) -> int:
        """How many responses are owed, or not acknowledged."""
        return self.endpoint.pending + len(self.endpoint.sending)

    def close(self) -> None:
        """Read no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sock is not None and self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None
            self._loop = None
        self._send = _nowhere

    # -- the way back

    def hold(self, incoming: Incoming) -> None:
        """The response takes longer."""
        self.endpoint.hold(incoming.handle)

    def respond(self, incoming: Incoming, code: int, options: Options, payload: bytes) -> None:
        """Send the response."""
        exchange: Exchange = incoming.handle
        self.endpoint.respond(exchange, code, options, payload, self._gateway.clock())
        self._sent()

    def drop(self, incoming: Incoming) -> None:
        """Send none."""
        self.endpoint.drop(incoming.handle)
        self._sent()

    def reject(self, incoming: Incoming) -> None:
        """Reset the request."""
        self.endpoint.reject(incoming.handle)
        self._sent()

    def notify(self, observer: Observer, message: Message, *, confirmable: bool) -> bool:
        """Send a notification; False where too many wait for their acknowledgement."""
        sending, sent = self.endpoint.sending, True
        if confirmable:
            sent = sending.confirmable(observer.peer, message, self._gateway.clock(), observer)
        else:
            sending.once(observer.peer, message, observer)
        self._sent()
        return sent

    def _settled(self, tag: Observer | Question, fate: str) -> None:
        serving = self._gateway.serving
        if isinstance(tag, Question):
            serving.commanding.settled(tag, fate)
        else:
            serving.observing.settled(tag, fate)

    def _sent(self) -> None:
        if not self._batch:
            self.flush()


def _nowhere(data: bytes, address: Any) -> None:
    """The socket is closed."""
