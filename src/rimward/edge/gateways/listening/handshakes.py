"""TLS handshakes: they cost a thousand times what a message costs, so one begins a turn of the loop.

What plain devices send is read between two of them, however many wait (docs/adr/0044).
"""

import asyncio
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rimward.edge.gateways.listening.config import AcceptConfig
from rimward.edge.gateways.listening.entering import Entering

SHUTDOWN = 5.0  # seconds that a peer gets to answer our close_notify

_SIGNS = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class Wish:
    """A connection whose first byte has come."""

    sock: socket.socket
    context: Callable[[], ssl.SSLContext]  # asked when the handshake begins: files may have changed meanwhile
    entering: Entering
    count: Callable[[str], None]


class Handshakes:
    """Those in flight, and those that wait for their turn."""

    def __init__(self, config: AcceptConfig, on_room: Callable[[], None]) -> None:
        self.limit: int = config.waiting  # of those that wait
        self._config = config
        self._on_room = on_room  # called when a full queue is half empty
        self._queue: deque[Wish] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._was_full = False

    @property
    def full(self) -> bool:
        """Whether no more should be accepted for now; then `on_room` tells when they should."""
        if len(self._queue) >= self.limit:
            self._was_full = True
        return self._was_full

    @property
    def in_flight(self) -> int:
        """How many have begun."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many have not."""
        return len(self._queue)

    def add(self, wish: Wish) -> None:
        """Begin one when its turn comes."""
        self._queue.append(wish)
        self._schedule()

    async def close(self) -> None:
        """End them all."""
        for wish in self._queue:
            wish.sock.close()
        self._queue.clear()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _schedule(self) -> None:
        if not self._scheduled and self._queue and len(self._running) < self._config.handshakes:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        if self._queue:
            task = asyncio.get_running_loop().create_task(self._shake(self._queue.popleft()))
            self._running.add(task)
            task.add_done_callback(self._ended)
        if self._was_full and len(self._queue) <= self.limit // 2:
            self._was_full = False
            self._on_room()
        self._schedule()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._schedule()

    async def _shake(self, wish: Wish) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: wish.entering,
                wish.sock,
                ssl=wish.context(),
                ssl_handshake_timeout=self._config.handshake_timeout,
                ssl_shutdown_timeout=SHUTDOWN,
            )
        except OSError as error:  # of TLS, of time or of the network
            wish.count("handshakes_failed")
            wish.count(f"handshake_{reason_of(error)}")
        except asyncio.CancelledError:
            wish.sock.close()
            raise
        else:
            wish.count("handshakes")
            return
        wish.sock.close()


def reason_of(error: OSError) -> str:
    """Return why a handshake failed, as a counter's name: OpenSSL's own word where it has one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _name(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return _name(error.reason or "broken")
    if isinstance(error, ConnectionAbortedError):  # what both loops raise for it
        return "too_slow"
    return "hung_up"


def _name(text: str) -> str:
    return _SIGNS.sub("_", text.lower()).strip("_")
