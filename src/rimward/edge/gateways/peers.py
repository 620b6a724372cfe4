"""Who is at the other end of a connection, as far as the transport can tell."""

import ipaddress
from typing import Any

from msgspec import Struct


class Certificate(Struct, frozen=True):
    """A client's certificate that the TLS handshake has verified."""

    subject: str  # common name
    names: tuple[str, ...]  # subject alternative names
    fingerprint: str  # SHA-256 of its DER form, lower-case hex
    serial: str


class Peer(Struct, frozen=True):
    """The other end."""

    address: str  # IP address; "" where there is none, as on a Unix socket
    port: int = 0
    local: bool = False  # on this machine, and not forwarded by a proxy
    secure: bool = False  # the connection is TLS
    certificate: Certificate | None = None
    listener: str = ""  # the name of the listener that took it


NOBODY = Peer("")


def peer_of(transport: Any, listener: str = "") -> Peer:
    """Return the peer of an asyncio transport, to be asked once, when the connection is made.

    A peer that is gone already has no address and is not local.
    """
    given: Peer | None = transport.get_extra_info("rimward.peer")
    if given is not None:
        return given
    name: tuple[Any, ...] | str | None = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        address, port = str(name[0]), int(name[1])
        return Peer(address, port, is_loopback(address), listener=listener)
    return Peer("", listener=listener)


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
