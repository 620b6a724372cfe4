"""A connection to a web server of ours may not be one of too many, nor drip its request, nor be endless.

uvicorn bounds none of the three, and what else the process does needs the same file descriptors and memory.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTIONS = 128
HEAD_SECONDS = 10.0  # from a connection, or a request's first byte, to its whole head
HEAD_BYTES = 32 << 10
DRAIN = 2  # seconds that open requests get at the end


class Patience(HttpToolsProtocol):
    """uvicorn's protocol with these bounds; who breaks one is cut off."""

    _cut: asyncio.TimerHandle | None = None
    _head = 0  # bytes of the head that is not whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] (asyncio calls it with a Transport)
        """Take a connection, or cut it off."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that goes on and on ends the connection."""
        if self._cut is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.transport.abort()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """A request's head is whole."""
        self._stop_waiting()
        super().on_headers_complete()

    def _wait(self) -> None:
        if self._cut is None:
            self._head = 0
            self._cut = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None


class PatientServer(uvicorn.Server):
    """A server of ours in a process that has a loop, and signals, already."""

    def __init__(self, application: ASGIApp, *, certificate: str | None = None) -> None:
        """With a `certificate`, a file that has its key too, it speaks TLS."""
        config = uvicorn.Config(
            application,
            http=Patience,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=DRAIN,
            ssl_certfile=certificate,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the process."""
        yield
