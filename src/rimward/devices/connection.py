"""One MQTT connection of a device: the socket and the timers around a `ClientSession`, no policy."""

import asyncio
import socket
from asyncio import AbstractEventLoop, Future, TimerHandle, Transport
from typing import TYPE_CHECKING, Protocol

from rimward.devices.errors import Refused, Unanswered, Unreachable
from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Packet,
    Properties,
    Reason,
)
from rimward.protocols.mqtt.client import ClientSession


class Owner(Protocol):
    """What a connection tells; all of it on the loop, nothing of it may block."""

    def took(self, packet: Packet) -> None:
        """Take a packet that came after the CONNACK."""
        ...

    def lost(self, connection: "Connection") -> None:
        """Learn that an accepted connection is over."""
        ...

    def has_room(self) -> None:
        """Learn that the socket takes bytes again."""
        ...


class Connection(asyncio.Protocol):
    """One connection, from its CONNECT to its end."""

    def __init__(self, connect: Connect, owner: Owner, loop: AbstractEventLoop, timeout: float) -> None:
        """`timeout` is seconds that the server may take to answer CONNECT and PINGREQ."""
        self.session: ClientSession = ClientSession(connect, loop.time(), timeout=timeout)
        self.accepted: Future[Connack] = loop.create_future()
        self.closed: Future[None] = loop.create_future()
        self.is_writable = True
        self._owner = owner
        self._loop = loop
        self._transport: Transport | None = None
        self._timer: TimerHandle | None = None
        self._will_flush = False

    # -- the loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the CONNECT."""
        if TYPE_CHECKING:  # uvloop's transports are of no asyncio class
            assert isinstance(transport, Transport)
        self._transport = transport
        if (sock := transport.get_extra_info("socket")) is not None:
            # Else a small packet behind another waits for the peer's delayed acknowledgement: 44 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flush()
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Hand on the packets that came."""
        for packet in self.session.receive_data(data):
            if not isinstance(packet, Connack):
                self._owner.took(packet)
            elif not self.accepted.done():
                self._answered(packet)
        self._flush()

    def pause_writing(self) -> None:
        """Note that the socket is full."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """Note that it has room again."""
        self.is_writable: bool = True
        self._owner.has_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        if self._timer is not None:
            self._timer.cancel()
        self.session.closed = True
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)
        if not self.accepted.done():
            silent = self.session.error is not None and self.session.error.reason == Reason.KEEP_ALIVE_TIMEOUT
            kind = Unanswered if silent else Unreachable
            self.accepted.set_exception(kind(f"the connection ended before it was accepted: {self.why(exc)}"))
        elif not self.accepted.cancelled() and self.accepted.exception() is None:
            self._owner.lost(self)

    # -- the owner's side

    @property
    def is_up(self) -> bool:
        """Whether the server has accepted and the connection stands."""
        return self._transport is not None and self.session.connected

    def flush_soon(self) -> None:
        """Send what is queued once the loop is through with what it does now: one write for many packets."""
        if not self._will_flush:
            self._will_flush = True
            self._loop.call_soon(self._flush)

    def disconnect(self) -> None:
        """Say goodbye and close."""
        self.session.disconnect(Reason.SUCCESS)
        self._flush()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def why(self, exc: Exception | None = None) -> str:
        """Return why it ended, in words."""
        error = self.session.error
        return str(error or exc or "the server closed it")

    # -- private

    def _answered(self, packet: Connack) -> None:
        if packet.reason:
            self.accepted.set_exception(
                Refused(
                    f"the server refuses the connection: {say(packet.reason, packet.properties)}",
                    packet.reason,
                )
            )
        else:
            self.accepted.set_result(packet)

    def _flush(self) -> None:
        self._will_flush = False
        if self._transport is None:
            return
        data = self.session.data_to_send(self._loop.time())
        if data:
            self._transport.write(data)
        if self.session.closed:
            self._transport.close()

    def _arm(self) -> None:
        deadline = self.session.deadline
        if deadline is not None and self._transport is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self.session.tick(self._loop.time())
        self._flush()
        if self.session.error is not None:
            self.abort()  # a server that does not answer does not read our goodbye either
        self._arm()


def say(reason: int, properties: Properties | None) -> str:
    """Return a reason of either version in words, the server's own where it gives some."""
    if properties is not None and properties.reason_string:
        return properties.reason_string
    if reason in _WORDS_3:
        return _WORDS_3[reason]
    try:
        return Reason(reason).name.lower().replace("_", " ")
    except ValueError:
        return f"reason {reason:#04x}"


_WORDS_3 = {  # return codes of 3.1.1 [3.1.1: 3.2.2.3]; 0 and 0x80 on are the same in both versions
    1: "unacceptable protocol version",
    2: "client identifier rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
