"""Listeners whose connections begin with something before the gateway's own bytes: a PROXY header, or TLS.

The header is read from the socket to the byte, so that what follows it is there for TLS or the gateway.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rimward.edge.gateways.listening.config import ANY_UNIX, AcceptConfig, ListenerConfig, networks_of
from rimward.edge.gateways.listening.entering import Entering, MakeProtocol
from rimward.edge.gateways.listening.handshakes import Handshakes, Wish
from rimward.edge.gateways.peers import plain
from rimward.protocols.proxy import Forwarded, ProxyError, missing, parse

if TYPE_CHECKING:
    from rimward.edge.gateways.listening.tls import Tls

TURN = 64  # connections accepted before others are heard
GRACE = 1.0  # seconds that a connection may be silent before a new one takes its place
PAUSE = 1.0  # seconds without accepting when descriptors have run out
_SHORT_OF = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Accepting:
    """One such listener."""

    def __init__(self, name: str, config: ListenerConfig, make: MakeProtocol, hall: "Hall") -> None:
        self.name = name
        self.tls: Tls | None = _tls_of(name, config)
        self._make = make
        self._hall = hall
        self._networks = networks_of(name, config)
        self._any_unix = ANY_UNIX in config.proxy_protocol_from
        self._sock: socket.socket | None = None
        self._listening = False
        self._again: asyncio.TimerHandle | None = None

    def open(self, sock: socket.socket) -> None:
        """Accept from a socket that listens."""
        sock.setblocking(False)
        self._sock = sock
        self.resume()

    def close(self) -> None:
        """Accept no more; the socket is its giver's to close."""
        self._pause()
        if self._again is not None:
            self._again.cancel()
        self._sock = None

    def resume(self) -> None:
        """Accept again."""
        if self._sock is not None and not self._listening:
            self._listening = True
            asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def count(self, what: str) -> None:
        """Count what happened at this listener."""
        self._hall.count(f"{self.name}.{what}")

    def expects_header(self, sock: socket.socket, address: Any) -> bool:
        """Tell whether a connection comes from a proxy that was listed."""
        if sock.family == socket.AF_UNIX:
            return self._any_unix
        if not self._networks:
            return False
        peer = ipaddress.ip_address(plain(address[0]))
        return any(peer in network for network in self._networks)

    def go_on(self, sock: socket.socket, entering: Entering, *, ready: bool = False) -> None:
        """Hand a connection on: to TLS once it has sent something, which `ready` says it has."""
        if self.tls is None:
            self._hall.enter(sock, entering, self.count)
        elif ready:
            self._hall.handshakes.add(Wish(sock, self._context, entering, self.count))
        else:
            self._hall.wait(Arriving(self, sock, entering))

    def make_entering(self, *, proxied: bool, forwarded: Forwarded | None = None) -> Entering:
        """Return what the connection's transport talks to first."""
        return Entering(self._make, self.name, proxied=proxied, forwarded=forwarded)

    def _context(self) -> Any:
        assert self.tls is not None
        return self.tls.context

    def _pause(self) -> None:
        if self._sock is not None and self._listening:
            self._listening = False
            asyncio.get_running_loop().remove_reader(self._sock)

    def _accept(self) -> None:
        assert self._sock is not None
        for _ in range(TURN):
            if not self._hall.has_room():
                self.count("accept_paused")
                self._pause()  # those that come wait in the kernel until the hall has room
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _SHORT_OF:
                    raise
                self.count("accept_short_of_descriptors")
                self._pause()
                self._again = asyncio.get_running_loop().call_later(PAUSE, self.resume)
                return
            sock.setblocking(False)
            if self.expects_header(sock, address):
                self._hall.wait(Arriving(self, sock, None))
            else:
                self.go_on(sock, self.make_entering(proxied=False))


def _tls_of(name: str, config: ListenerConfig) -> "Tls | None":
    if config.tls is None:
        return None
    from rimward.edge.gateways.listening.tls import Tls  # a node without TLS never reads it

    return Tls(name, config.protocol, config.tls)


class Arriving:
    """A connection that has yet to send its PROXY header, or the first byte of TLS."""

    def __init__(self, listener: Accepting, sock: socket.socket, entering: Entering | None) -> None:
        self.sock = sock
        self.deadline: float = 0.0  # seconds of the loop's clock
        self._listener = listener
        self._entering = entering  # None: the header comes first
        self._header = b""

    def hear(self) -> bool:
        """Take what has come; True: nothing more is waited for, and it has gone on or was closed."""
        listener = self._listener
        if self._entering is None:
            try:
                if not self._read_header():
                    return False
            except ProxyError:
                listener.count("proxy_headers_refused")
                self.sock.close()
                return True
            except OSError:
                self.give_up("proxy_hung_up")
                return True
            self._entering = listener.make_entering(proxied=True, forwarded=self._forwarded)
            if listener.tls is not None and not self._has_more():
                return False
        listener.go_on(self.sock, self._entering, ready=True)
        return True

    def give_up(self, why: str = "") -> None:
        """Close it, and count why."""
        self._listener.count(why or ("proxy_headers_late" if self._entering is None else "handshake_silent"))
        self.sock.close()

    def _read_header(self) -> bool:
        """Read no byte beyond the header; True when it is whole."""
        while wanted := missing(self._header):
            try:
                data = self.sock.recv(wanted)
            except (BlockingIOError, InterruptedError):
                return False
            if not data:
                raise ConnectionResetError
            self._header += data
        self._forwarded: Forwarded | None = parse(self._header)
        return True

    def _has_more(self) -> bool:
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True  # the handshake will find out


class Hall:
    """Where connections wait until they may enter.

    Where it is full, the one that is silent longest gives way to a new one once its second of grace is over;
    until then nobody new is taken.
    """

    def __init__(self, config: AcceptConfig, count: Callable[[str], None]) -> None:
        self.count = count
        self.listeners: list[Accepting] = []
        self.handshakes: Handshakes = Handshakes(config, self._resume)
        self._limit = config.waiting
        self._config = config
        self._paused: asyncio.TimerHandle | None = None  # until when, where listeners wait for room
        self._arriving: dict[Arriving, None] = {}  # in the order of their deadlines
        self._entering: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many have to send more."""
        return len(self._arriving)

    def limit_to(self, limit: int) -> None:
        """Let that many send their first bytes at a time, and as many wait for their handshake."""
        self._limit = self.handshakes.limit = limit

    def has_room(self) -> bool:
        """Tell whether one more may come; where not, listeners are resumed when one may."""
        if self.handshakes.full or self._paused is not None:
            return False
        if len(self._arriving) < self._limit:
            return True
        loop = asyncio.get_running_loop()
        silent_at = next(iter(self._arriving)).deadline - self._config.first_byte_timeout + GRACE
        if silent_at <= loop.time():
            return True
        self._paused = loop.call_at(silent_at, self._resume)
        return False

    def wait(self, arriving: Arriving) -> None:
        """Wait for what a connection sends first."""
        loop = asyncio.get_running_loop()
        if len(self._arriving) >= self._limit:
            oldest = next(iter(self._arriving))
            self._forget(oldest)
            oldest.give_up("waiting_room_full")
        arriving.deadline = loop.time() + self._config.first_byte_timeout
        self._arriving[arriving] = None
        loop.add_reader(arriving.sock, self._hear, arriving)
        if self._sweep is None:
            self._sweep = loop.call_at(arriving.deadline, self._look)

    def enter(self, sock: socket.socket, entering: Entering, count: Callable[[str], None]) -> None:
        """Let a connection in that has no TLS."""
        task = asyncio.get_running_loop().create_task(_enter(sock, entering, count))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    async def close(self) -> None:
        """Send everybody away."""
        for timer in (self._sweep, self._paused):
            if timer is not None:
                timer.cancel()
        for arriving in list(self._arriving):
            self._forget(arriving)
            arriving.sock.close()
        await self.handshakes.close()
        await asyncio.gather(*self._entering, return_exceptions=True)

    def _hear(self, arriving: Arriving) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(arriving.sock)
        if arriving.hear():
            self._arriving.pop(arriving, None)
            if self._paused is not None:
                self._resume()
        else:
            loop.add_reader(arriving.sock, self._hear, arriving)

    def _forget(self, arriving: Arriving) -> None:
        del self._arriving[arriving]
        asyncio.get_running_loop().remove_reader(arriving.sock)

    def _look(self) -> None:
        """Send those away that are too late, and look again when the next one would be."""
        loop = asyncio.get_running_loop()
        self._sweep = None
        while self._arriving:
            oldest = next(iter(self._arriving))
            if oldest.deadline > loop.time():
                self._sweep = loop.call_at(oldest.deadline, self._look)
                return
            self._forget(oldest)
            oldest.give_up()

    def _resume(self) -> None:
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        for listener in self.listeners:
            listener.resume()


async def _enter(sock: socket.socket, entering: Entering, count: Callable[[str], None]) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: entering, sock)
    except OSError:
        count("hung_up")
        sock.close()
