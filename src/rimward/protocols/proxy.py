"""The PROXY protocol's version 2: the binary header by which a proxy says whose connection it forwards.

HAProxy's proxy-protocol.txt, §2.2. Version 1, the text form, is not understood. TLVs are skipped: nothing in
them is an identity. Who may send a header is its reader's business.
"""

import ipaddress
import struct

from msgspec import Struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = 16  # bytes up to and with the length
MAX_BODY = 2048  # bytes of addresses and TLVs; with a client certificate's names they are a few hundred

_LOCAL, _PROXY = 0x20, 0x21
_INET, _INET6, _UNIX = 1, 2, 3
_SIZES = {_INET: 12, _INET6: 36, _UNIX: 216}


class ProxyError(Exception):
    """What came is no header of version 2, or one that breaks a rule."""


class Forwarded(Struct, frozen=True):
    """Who is behind the proxy."""

    address: str
    port: int


def missing(header: bytes) -> int:
    """Return how many bytes the header still needs, as far as those that came say; 0: it is whole.

    A reader that never asks for more leaves what follows the header in the socket.

    Raises:
        ProxyError: it can't become a header.
    """
    if header[:12] != SIGNATURE[: len(header)]:
        raise ProxyError("no header of version 2")
    if len(header) < FIXED:
        return FIXED - len(header)
    if header[12] not in {_LOCAL, _PROXY}:
        raise ProxyError(f"version and command are 0x{header[12]:02x}, they must be 0x20 or 0x21")
    size = int.from_bytes(header[14:16], "big")
    if size > MAX_BODY:
        raise ProxyError(f"addresses and TLVs are {size} bytes, the limit is {MAX_BODY}")
    return max(0, FIXED + size - len(header))


def parse(header: bytes) -> Forwarded | None:
    """Return whom a whole header names; None where the proxy speaks for itself, or of no IP address.

    Raises:
        ProxyError: family or transport does not exist, or the addresses are cut off.
    """
    if header[12] == _LOCAL:
        return None  # the proxy's own look whether we live; the rest is to be ignored
    family, transport = header[13] >> 4, header[13] & 0x0F
    if family > _UNIX or transport > 2:
        raise ProxyError(f"family and transport are 0x{header[13]:02x}, which is reserved")
    size = _SIZES.get(family, 0)
    if len(header) - FIXED < size:
        raise ProxyError(f"addresses are {len(header) - FIXED} bytes, this family has {size}")
    if family == _INET:
        return Forwarded(str(ipaddress.IPv4Address(header[16:20])), *struct.unpack_from(">H", header, 24))
    if family == _INET6:
        return Forwarded(str(ipaddress.IPv6Address(header[16:32])), *struct.unpack_from(">H", header, 48))
    return None
