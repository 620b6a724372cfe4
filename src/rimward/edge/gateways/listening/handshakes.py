"""TLS handshakes: a step of one costs what a hundred messages cost, so a turn of the loop has one step.

What plain devices send is read between two of them, however many wait (docs/adr/0044).
"""

import asyncio
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimward.edge.gateways.listening.config import AcceptConfig
from rimward.edge.gateways.listening.entering import Entering

if TYPE_CHECKING:  # a node without TLS never reads it
    from rimward.edge.gateways.listening.secure import Secure

_SIGNS = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class Wish:
    """A connection whose first byte has come."""

    sock: socket.socket
    context: Callable[[], ssl.SSLContext]  # asked when the handshake begins: files may have changed meanwhile
    entering: Entering
    count: Callable[[str], None]


class Handshakes:
    """Those in flight, and those that wait to begin."""

    def __init__(self, config: AcceptConfig, on_room: Callable[[], None]) -> None:
        self.limit: int = config.waiting  # of those that wait
        self.nanoseconds: int = 0  # of CPU that all steps have taken
        self._config = config
        self._on_room = on_room  # called when a full queue is half empty
        self._wishes: deque[Wish] = deque()
        self._beginning: set[asyncio.Task[None]] = set()
        self._running: dict[Secure, asyncio.TimerHandle] = {}
        self._asking: deque[Secure] = deque()
        self._scheduled = False
        self._was_full = False

    @property
    def full(self) -> bool:
        """Whether no more should be accepted for now; then `on_room` tells when they should."""
        if len(self._wishes) >= self.limit:
            self._was_full = True
        return self._was_full

    @property
    def in_flight(self) -> int:
        """How many have begun."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many have not."""
        return len(self._wishes)

    def add(self, wish: Wish) -> None:
        """Begin one when there is room for it."""
        self._wishes.append(wish)
        self._schedule()

    def ask(self, secure: "Secure") -> None:
        """Have a step taken when its turn has come."""
        self._asking.append(secure)
        self._schedule()

    def ended(self, secure: "Secure", failure: OSError | None) -> None:
        """Count how a handshake has ended."""
        self._running.pop(secure).cancel()
        if failure is None:
            secure.count("handshakes")
        else:
            secure.count("handshakes_failed")
            secure.count(f"handshake_{reason_of(failure)}")
        self._schedule()

    async def close(self) -> None:
        """End them all."""
        for wish in self._wishes:
            wish.sock.close()
        self._wishes.clear()
        await asyncio.gather(*self._beginning, return_exceptions=True)
        for secure in list(self._running):
            secure.abort()
        self._asking.clear()

    def _schedule(self) -> None:
        room = self._wishes and len(self._running) < self._config.handshakes
        if not self._scheduled and (self._asking or room):
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Take one step; a new handshake begins when none waits for its next."""
        self._scheduled = False
        if self._asking:
            secure = self._asking.popleft()
            began = time.thread_time_ns()
            secure.step()
            self.nanoseconds += time.thread_time_ns() - began
        elif self._wishes and len(self._running) < self._config.handshakes:
            self._begin(self._wishes.popleft())
        self._schedule()

    def _begin(self, wish: Wish) -> None:
        loop = asyncio.get_running_loop()
        from rimward.edge.gateways.listening.secure import Secure

        secure = Secure(wish.context(), wish.entering, self, wish.count)
        late = loop.call_later(self._config.handshake_timeout, secure.refuse, TimeoutError())
        self._running[secure] = late
        task = loop.create_task(self._connect(secure, wish))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)
        if self._was_full and len(self._wishes) <= self.limit // 2:
            self._was_full = False
            self._on_room()

    async def _connect(self, secure: "Secure", wish: Wish) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: secure, wish.sock)
        except OSError as error:  # it is gone already
            wish.sock.close()
            if secure in self._running:
                self.ended(secure, error)


def reason_of(error: OSError) -> str:
    """Return why a handshake failed, as a counter's name: OpenSSL's own word where it has one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _name(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return _name(error.reason or "broken")
    return "too_slow" if isinstance(error, TimeoutError) else "hung_up"


def _name(text: str) -> str:
    return _SIGNS.sub("_", text.lower()).strip("_")
