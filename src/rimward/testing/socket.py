"""A WebSocket to the node in memory, on a line to its real gateway."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol, State

from rimward.devices.errors import Unanswered
from rimward.testing.http import House, Response, parse_response
from rimward.testing.inbox import NothingCame
from rimward.testing.line import Line

_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_MAX = 16 << 20  # bytes of a message


class Refused(Unanswered):
    """The node did not open the socket; `response` says why."""

    code = "socket-refused"

    def __init__(self, path: str, response: Response) -> None:
        super().__init__(f"{path} opens no socket: {response.status} {response.text}")
        self.response = response


async def open_socket(house: House, path: str, headers: Mapping[str, str]) -> "Socket":
    """Open a WebSocket at a path of the node.

    Raises:
        Refused: the node does not open it.
    """
    socket = Socket(house.until)
    await socket.open(house, path, dict(headers))
    return socket


class Socket:
    """An open WebSocket: `send` a message, `next` waits for one."""

    def __init__(self, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        self.messages: list[str | bytes] = []  # all that came, oldest first
        self.close_code: int | None = None  # of the node's goodbye
        self._until = until
        self._frames = Protocol(CLIENT, state=State.OPEN, max_size=_MAX)
        self._line: Line | None = None
        self._head = bytearray()  # of the answer to the opening, until it is whole
        self._opened = False
        self._next = 0
        self._over = False

    @property
    def is_open(self) -> bool:
        """Whether the connection is there."""
        return not self._over

    async def send(self, message: Any) -> None:
        """Send a message: text and bytes as they are, anything else as JSON."""
        if isinstance(message, bytes):
            self._frames.send_binary(message)
        else:
            self._frames.send_text(
                message.encode() if isinstance(message, str) else msgspec.json.encode(message)
            )
        self._write()
        await self._until(lambda: False)

    async def next(self, type_: Any = Any) -> Any:
        """Return the next message: JSON where it is that, else text or bytes.

        Raises:
            NothingCame: everything has come to rest without one.
        """
        await self._until(lambda: self._next < len(self.messages))
        if self._next >= len(self.messages):
            raise NothingCame("no message came on the socket")
        message = self.messages[self._next]
        self._next += 1
        try:
            return msgspec.json.decode(message, type=type_)
        except msgspec.DecodeError:
            if type_ is not Any:
                raise
            return message

    async def close(self) -> None:
        """Say goodbye."""
        if self._frames.state is State.OPEN:
            self._frames.send_close(1000)
            self._write()
        await self._until(lambda: self._over)

    async def open(self, house: House, path: str, headers: dict[str, str]) -> None:
        """Open it.

        Raises:
            Refused: the node does not.
        """
        fields = {"host": "localhost", "connection": "upgrade", "upgrade": "websocket"}
        fields |= {"sec-websocket-version": "13", "sec-websocket-key": _KEY} | headers
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self._line = house.open_http(self)
        self._line.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self._until(lambda: self._opened or self._over or b"\r\n\r\n" in self._head)
        if not self._opened:
            raise Refused(path, parse_response(bytes(self._head)))

    # -- the line's end

    def receive(self, data: bytes) -> None:
        """Take bytes from the node."""
        if not self._opened:
            self._head += data
            head, end, rest = bytes(self._head).partition(b"\r\n\r\n")
            if not end or not head.startswith(b"HTTP/1.1 101 "):
                return
            self._opened = True
            data = rest
        self._frames.receive_data(data)
        for event in self._frames.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.messages.append(bytes(event.data).decode())
            elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                self.messages.append(bytes(event.data))
        if self._frames.close_rcvd is not None:
            self.close_code = int(self._frames.close_rcvd.code)
        self._write()

    def ended(self, *, killed: bool) -> None:
        """Learn that the connection is over."""
        del killed
        self._over = True

    def _write(self) -> None:
        data = b"".join(self._frames.data_to_send())
        if data and self._line is not None:
            self._line.send(data)
