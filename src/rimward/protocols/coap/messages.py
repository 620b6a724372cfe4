"""Messages: as datagrams [RFC 7252 §3], and as frames of a stream [RFC 8323 §3.2]."""

from msgspec import Struct

from rimward.protocols.coap.codes import CON, EMPTY, FormatError
from rimward.protocols.coap.options import Options, read, write


class Message(Struct):
    """One message. Over streams it has neither type nor message id."""

    code: int
    token: bytes = b""
    options: Options = []
    payload: bytes = b""
    type: int = CON
    mid: int = 0

    def get(self, number: int) -> bytes | None:
        """Return the first value of an option."""
        for found, value in self.options:
            if found == number:
                return value
        return None


def decode(data: bytes) -> Message | None:
    """Return the message in a datagram; None where it is of another version, and is to be passed over.

    Raises:
        FormatError: it is none; a confirmable one's id is in `reset`.
    """
    if len(data) < 4:
        raise FormatError(f"a datagram of {len(data)} bytes is no message")
    first, code = data[0], data[1]
    if first >> 6 != 1:
        return None
    kind, size, mid = first >> 4 & 3, first & 15, data[2] << 8 | data[3]
    reset = mid if kind == CON else None
    if code == EMPTY:
        if len(data) > 4:
            raise FormatError("an empty message has bytes behind its message id", reset)
        return Message(EMPTY, type=kind, mid=mid)
    if size > 8 or code >> 5 in {1, 6, 7} or 4 + size > len(data):
        raise FormatError(f"a token of {size} bytes, or no code: {code >> 5}.{code & 31:02}", reset)
    try:
        options, payload = read(data, 4 + size)
    except FormatError as error:
        raise FormatError(error.detail, reset) from None
    return Message(code, data[4 : 4 + size], options, payload, kind, mid)


def encode(message: Message) -> bytes:
    """Return a message as a datagram; its options are in order."""
    token = message.token
    head = (
        0x40 | message.type << 4 | len(token),
        message.code,
        message.mid >> 8,
        message.mid & 0xFF,
    )
    return bytes(head) + token + write(message.options, message.payload)


def empty(kind: int, mid: int) -> bytes:
    """Return an empty acknowledgement, a reset or a ping."""
    return bytes((0x40 | kind << 4, EMPTY, mid >> 8, mid & 0xFF))


class FrameDecoder:
    """Cuts a byte stream into messages. After the first broken rule it takes no more: see `error`."""

    def __init__(self, max_size: int) -> None:
        """`max_size` is of a whole message, bytes."""
        self.error: FormatError | None = None
        self._max_size = max_size
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that `data` completes, up to the first that breaks a rule."""
        messages: list[Message] = []
        if self.error is not None:
            return messages
        self._rest += data
        pos, have = 0, self._rest
        try:
            while (frame := self._frame(have, pos)) is not None:
                messages.append(_of_frame(have, *frame))
                pos = frame[2]
        except FormatError as error:
            self.error = error
        del self._rest[: len(have) if self.error else pos]
        return messages

    def _frame(self, data: bytearray, pos: int) -> tuple[int, int, int] | None:
        """Return where a frame's code, options and end are; None where it is not there yet."""
        if pos >= len(data):
            return None
        length, size = data[pos] >> 4, data[pos] & 15
        pos += 1
        if length > 12:
            more = 1 << length - 13
            if pos + more > len(data):
                return None
            length = int.from_bytes(data[pos : pos + more], "big") + (13, 269, 65_805)[length - 13]
            pos += more
        stop = pos + 1 + size + length
        if size > 8:
            raise FormatError(f"the token has {size} bytes, it may have 8")
        if length > self._max_size or 1 + size + length > self._max_size:
            raise FormatError(f"a message of {1 + size + length} bytes is larger than {self._max_size}")
        return (pos, pos + 1 + size, stop) if stop <= len(data) else None


def _of_frame(data: bytearray, code_at: int, options_at: int, end: int) -> Message:
    options, payload = read(bytes(data[options_at:end]), 0)
    return Message(data[code_at], bytes(data[code_at + 1 : options_at]), options, payload)


def frame(message: Message) -> bytes:
    """Return a message as a frame."""
    body = write(message.options, message.payload)
    length, token = len(body), message.token
    if length < 13:
        head = bytes((length << 4 | len(token),))
    elif length < 269:
        head = bytes((0xD0 | len(token), length - 13))
    elif length < 65_805:
        head = bytes((0xE0 | len(token),)) + (length - 269).to_bytes(2, "big")
    else:
        head = bytes((0xF0 | len(token),)) + (length - 65_805).to_bytes(4, "big")
    return head + bytes((message.code,)) + token + body
