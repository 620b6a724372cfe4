"""The data types that packets are made of [3.1.1: 1.5, 2.2.3; 5: 1.5], read with every bound checked."""

from rimward.protocols.mqtt.reasons import MqttError, Reason

MAX_REMAINING = 268_435_455  # bytes that four length bytes can say


class Reader:
    """A cursor over one packet's body. Reading past its end is a malformed packet."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int, end: int) -> None:
        self.data: bytes = data
        self.pos: int = pos
        self.end: int = end

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        start = self.pos
        if start + size > self.end:
            raise malformed(f"{size} bytes expected, {self.end - start} left in the packet")
        self.pos = start + size
        return self.data[start : start + size]

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(self.end - self.pos)

    def byte(self) -> int:
        """Return a byte."""
        return self.take(1)[0]

    def short(self) -> int:
        """Return a two byte integer."""
        return int.from_bytes(self.take(2), "big")

    def long(self) -> int:
        """Return a four byte integer."""
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        """Return a variable byte integer [5: 1.5.5]; it must be as short as it can be."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if shift and not byte:
                    raise malformed("a variable byte integer is longer than it needs to be")
                return value
        raise malformed("a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        """Return binary data."""
        return self.take(self.short())

    def string(self) -> str:
        """Return a UTF-8 string without NUL."""
        return text(self.take(self.short()))

    def packet_id(self) -> int:
        """Return a packet identifier, which is never 0."""
        value = self.short()
        if not value:
            raise MqttError(Reason.PROTOCOL_ERROR, "a packet identifier is 0")
        return value

    def finish(self) -> None:
        """Check that nothing is left over."""
        if self.pos != self.end:
            raise malformed(f"{self.end - self.pos} bytes too many in the packet")


def malformed(detail: str) -> MqttError:
    """Return the error of a packet that can't be read."""
    return MqttError(Reason.MALFORMED_PACKET, detail)


def text(data: bytes) -> str:
    """Return a string's text [1.5.4]: well-formed UTF-8, no surrogates, no NUL."""
    try:
        value = data.decode()
    except UnicodeDecodeError as error:
        raise malformed(f"a string is not UTF-8: {error.reason} at byte {error.start}") from None
    if "\0" in value:
        raise malformed("a string has a NUL")
    return value


def short(value: int) -> bytes:
    """Return a two byte integer."""
    return value.to_bytes(2, "big")


def varint(value: int) -> bytes:
    """Return a variable byte integer."""
    if value < 0x80:
        return bytes((value,))
    if value > MAX_REMAINING:
        raise MqttError(
            Reason.PACKET_TOO_LARGE, f"{value} bytes, a packet can't say more than {MAX_REMAINING}"
        )
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def binary(value: bytes) -> bytes:
    """Return binary data behind its length."""
    if len(value) > 0xFFFF:
        raise MqttError(Reason.PACKET_TOO_LARGE, f"a field has {len(value)} bytes, the limit is 65535")
    return len(value).to_bytes(2, "big") + value


def string(value: str) -> bytes:
    """Return a string behind its length."""
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise malformed("a string has a surrogate, which UTF-8 can't carry") from None
    if b"\0" in data:
        raise malformed("a string has a NUL")
    return binary(data)
