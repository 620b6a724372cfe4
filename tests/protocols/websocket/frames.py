"""Frames as a client writes them, right or wrong."""

from struct import pack

MASK = b"\x37\xfa\x21\x3d"  # RFC 6455 §5.7
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return one frame of a client."""
    first = (fin << 7) | (rsv << 4) | opcode
    size, flag = len(data), masked << 7
    if size < 126:
        head = bytes([first, flag | size])
    elif size < 65536:
        head = bytes([first, flag | 126]) + pack("!H", size)
    else:
        head = bytes([first, flag | 127]) + pack("!Q", size)
    if not masked:
        return head + data
    return head + MASK + bytes(byte ^ MASK[index % 4] for index, byte in enumerate(data))


def close(code: int, reason: bytes = b"") -> bytes:
    """Return a close frame of a client."""
    return frame(CLOSE, pack("!H", code) + reason)
