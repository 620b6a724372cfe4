"""The server's side of one open WebSocket, without I/O [RFC 6455 §5-§8]; frames are the websockets library's.

Bytes in, messages out; messages in, bytes out. Fragments are joined, text is checked to be UTF-8, pings are
answered, and a message has a bound. What the peer does wrong is answered with its close code; nothing is
raised.
"""

import logging

from msgspec import Struct
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, SERVER, Protocol, State

_quiet: logging.Logger = logging.getLogger("rimward.websocket")
_quiet.setLevel(logging.ERROR)  # the library tells of every connection's end
_MAX_REASON = 123  # bytes of a close frame besides its code [§5.5]


class WebSocketMessage(Struct, gc=False):
    """One message, whole."""

    data: bytes
    text: bool  # the data are UTF-8


class WebSocketSession:
    """One connection after its handshake."""

    __slots__ = ("_bad_text", "_fragments", "_is_text", "_protocol", "over")

    def __init__(self, max_message: int) -> None:
        """`max_message` is bytes of a message, whatever its fragments."""
        self._protocol = Protocol(SERVER, state=State.OPEN, max_size=max_message, logger=_quiet)
        self._fragments: bytearray | None = None  # of the message that is not whole
        self._is_text = False
        self._bad_text = False
        self.over: bool = False  # send `data_to_send()` and close the connection

    @property
    def open(self) -> bool:
        """Whether messages may be sent."""
        return self._protocol.state is State.OPEN

    @property
    def failure(self) -> tuple[int, str] | None:
        """The close code and the words for what the peer did wrong; None where it did nothing wrong."""
        sent = self._protocol.close_sent
        wrong = self._bad_text or self._protocol.parser_exc is not None
        return (int(sent.code), sent.reason) if sent is not None and wrong else None

    @property
    def peer_code(self) -> int | None:
        """The close code that the peer has sent; 1005 where it gave none, None where it sent no close."""
        received = self._protocol.close_rcvd
        return None if received is None else int(received.code)

    def receive_data(self, data: bytes) -> list[WebSocketMessage]:
        """Return the messages that `data` completed, up to the first rule that was broken."""
        protocol, found = self._protocol, list[WebSocketMessage]()
        if self.over:
            return found
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame) and not self._take(event, found):
                break
        return found

    def receive_eof(self) -> None:
        """The peer has hung up."""
        if not self.over:
            self._protocol.receive_eof()
            self.over = True

    def send(self, data: bytes, *, text: bool) -> None:
        """Send a message; after the close it is left out."""
        if self._protocol.state is State.OPEN:
            if text:
                self._protocol.send_text(data)
            else:
                self._protocol.send_binary(data)

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake [§7.1.2]."""
        if self._protocol.state is State.OPEN:
            cut = reason.encode()[:_MAX_REASON].decode("utf-8", "ignore")
            self._protocol.send_close(code, cut)

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, joined."""
        pieces = self._protocol.data_to_send()
        if SEND_EOF in pieces:
            self.over = True
        return b"".join(pieces)

    def _take(self, frame: Frame, found: list[WebSocketMessage]) -> bool:
        """Take a frame of data; False where the session fails."""
        opcode = frame.opcode
        if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            self._is_text = opcode is Opcode.TEXT
            if frame.fin:
                return self._complete(bytes(frame.data), found)
            self._fragments = bytearray(frame.data)
        elif opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
            if frame.fin:
                data, self._fragments = bytes(self._fragments), None
                return self._complete(data, found)
        return True

    def _complete(self, data: bytes, found: list[WebSocketMessage]) -> bool:
        if self._is_text:
            try:
                data.decode()
            except UnicodeDecodeError:
                self._bad_text = True
                self._protocol.fail(CloseCode.INVALID_DATA, "text is not UTF-8")
                return False
        found.append(WebSocketMessage(data, self._is_text))
        return True
