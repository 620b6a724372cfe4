"""TLS of one connection, as a transport to its gateway and a protocol to the socket's own transport.

Beside the loops' own this one says why a handshake failed, by TLS's alert (RFC 8446 §6.2), which a loop cuts
off; takes the handshake's steps when it is told to; and hands on all records of a read in one piece.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

READ = 1 << 18  # bytes; a record has 16 KiB at most
LINGER = 2.0  # seconds that a peer gets to read our last word and hang up


class Steps(Protocol):
    """Who says when a handshake goes on."""

    def ask(self, secure: "Secure") -> None:
        """Call `step` when its turn has come."""
        ...

    def ended(self, secure: "Secure", failure: OSError | None) -> None:
        """A handshake is over; without a failure the gateway has the connection."""
        ...


class Secure(asyncio.Transport, asyncio.Protocol):
    """One connection. Nothing is read from the socket while a step of its handshake waits for its turn."""

    __slots__ = (
        "__weakref__",
        "_closing",
        "_incoming",
        "_outgoing",
        "_protocol",
        "_raw",
        "_ssl",
        "_steps",
        "_timer",
        "count",
    )

    _raw: Any  # uvloop's transports are of no asyncio class

    def __init__(
        self, context: ssl.SSLContext, protocol: asyncio.Protocol, steps: Steps, count: Callable[[str], None]
    ) -> None:
        self.count: Callable[[str], None] = count
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._protocol: asyncio.BaseProtocol = protocol
        self._steps: Steps | None = steps  # None: the handshake is over
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    # -- the socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake's first bytes."""
        self._raw = transport

    def data_received(self, data: bytes) -> None:
        """Go on with the handshake, or hand on what was sent."""
        if self._closing:
            return
        self._incoming.write(data)
        if self._steps is None:
            self._deliver()
        else:
            self._raw.pause_reading()
            self._steps.ask(self)

    def eof_received(self) -> bool:
        """The socket's end; one without TLS's own before it is not told from an end that was cut off."""
        return False

    def pause_writing(self) -> None:
        """Tell the gateway that its peer reads too slowly."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Tell the gateway that its peer reads again."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever had the connection."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._steps is None:
            self._protocol.connection_lost(exc)
        else:
            self._end_handshake(ConnectionResetError())

    # -- the handshake

    def step(self) -> None:
        """Take the handshake as far as the bytes go that have come."""
        if self._closing:
            return
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            self._raw.resume_reading()
        except ssl.SSLError as error:
            self.refuse(error)
        else:
            self._flush()
            self._end_handshake(None)
            self._raw.resume_reading()
            self._protocol.connection_made(self)
            self._deliver()

    def refuse(self, error: OSError) -> None:
        """End the handshake; the peer is told why where TLS has a word for it."""
        if self._steps is None or self._closing:
            return
        self._end_handshake(error)
        self._hang_up()

    def _end_handshake(self, failure: OSError | None) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.ended(self, failure)
        if failure is not None:
            self._protocol = asyncio.Protocol()  # nobody else is to hear of the end

    # -- the gateway's side

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what TLS or the socket knows."""
        if name == "ssl_object":
            return self._ssl
        return self._raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Talk to another protocol from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol

    def is_closing(self) -> bool:
        """Tell whether nothing more is sent."""
        return self._closing or bool(self._raw.is_closing())

    def is_reading(self) -> bool:
        """Tell whether the socket is read."""
        return bool(self._raw.is_reading())

    def pause_reading(self) -> None:
        """Read no more; what was read has been handed on."""
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._raw.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say how much a slow reader may leave before the gateway is told."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Return what waits for a slow reader, enciphered."""
        return int(self._raw.get_write_buffer_size())

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        if self._closing:
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._ssl.write(rest) :]
        self._flush()

    def can_write_eof(self) -> bool:
        """An end in one direction is nothing that every version of TLS has."""
        return False

    def close(self) -> None:
        """Say goodbye, and hang up when the peer has."""
        if not self._closing:
            self._hang_up()

    def abort(self) -> None:
        """Cut the connection off."""
        self._closing = True
        self._raw.abort()

    # -- own

    def _deliver(self) -> None:
        """Hand on all that has come, in one piece."""
        parts: list[bytes] = []
        failure: ssl.SSLError | None = None
        try:
            while part := self._ssl.read(READ):
                parts.append(part)
            ended = True  # by the peer's close_notify
        except ssl.SSLWantReadError:
            ended = False
        except ssl.SSLError as error:
            ended, failure = False, error
        protocol: Any = self._protocol
        if parts:
            protocol.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        if failure is not None and not self._closing:
            self.count("broken_records")
            self._hang_up()  # the alert is there to be sent
        elif ended and not self._closing and not self._protocol_stays():
            self._hang_up()
        else:
            self._flush()

    def _protocol_stays(self) -> bool:
        protocol: Any = self._protocol
        return bool(protocol.eof_received())

    def _hang_up(self) -> None:
        """Send what TLS has to say last and half of the socket's end, and wait for the peer's.

        A full close with bytes unread would reset our last words away.
        """
        self._closing = True
        with suppress(ssl.SSLError, ValueError):  # the peer's goodbye is to come, or there is no TLS to end
            self._ssl.unwrap()
        self._flush()
        if self._raw.is_closing():
            return
        self._raw.write_eof()
        self._raw.resume_reading()  # else the peer's end is not seen
        self._timer = asyncio.get_running_loop().call_later(LINGER, self._raw.abort)

    def _flush(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())
