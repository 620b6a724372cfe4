"""Who is at the other end of a connection, as far as the transport can tell."""

import asyncio
import hashlib
import ipaddress
import socket
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import Struct


class Certificate(Struct, frozen=True):
    """A client's certificate that the TLS handshake has verified."""

    subject: str  # common name; "" where there is none, more than one, or one that can't be printed
    names: tuple[str, ...]  # subject alternative names
    fingerprint: str  # SHA-256 of its DER form, lower-case hex
    serial: str  # upper-case hex


class Peer(Struct, frozen=True):
    """The other end."""

    address: str  # IP address; "" where there is none, as on a Unix socket
    port: int = 0
    local: bool = False  # on this machine, and not forwarded by a proxy
    secure: bool = False  # the connection is TLS
    certificate: Certificate | None = None
    listener: str = ""  # the name of the listener that took it


NOBODY = Peer("")

_introduced: dict[object, Peer | str] = {}  # by transport, while connection_made runs; a str: by its listener
_forwarded: WeakKeyDictionary[Any, Peer] = WeakKeyDictionary()  # by transport: it knows the proxy alone


def peer_of(transport: Any, listener: str = "") -> Peer:
    """Return the peer of an asyncio transport, to be asked once, in `connection_made`.

    Whoever asks later gets the same, but for the listener's name where the caller does not give it. A peer
    that is gone already, and so is a transport of None, has no address and is not local.
    """
    if transport is None:
        return NOBODY
    known = _introduced.get(transport)
    if known is None and _forwarded:
        known = _forwarded.get(transport)
    if isinstance(known, str):
        listener = known
    elif known is not None:
        return known
    given: Peer | None = transport.get_extra_info("rimward.peer")
    if given is not None:
        return given
    ssl_object: Any = transport.get_extra_info("ssl_object")
    secure, certificate = ssl_object is not None, certificate_of(ssl_object)
    name: tuple[Any, ...] | str | None = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        address = plain(str(name[0]))
        return Peer(address, int(name[1]), is_loopback(address), secure, certificate, listener)
    sock: Any = transport.get_extra_info("socket")
    local = sock is not None and sock.family == socket.AF_UNIX
    return Peer("", 0, local, secure, certificate, listener)


def introduce(
    protocol: asyncio.Protocol, transport: asyncio.Transport, listener: str, forwarded: Peer | None = None
) -> None:
    """Give a protocol its connection; while it is told, `peer_of` its transport names the listener.

    `forwarded` is the peer for as long as the transport lives, where that knows no more than the proxy.
    """
    if forwarded is not None:
        _forwarded[transport] = forwarded
    _introduced[transport] = listener if forwarded is None else forwarded
    try:
        protocol.connection_made(transport)
    finally:
        del _introduced[transport]


def certificate_of(ssl_object: Any) -> Certificate | None:
    """Return the client certificate that a TLS connection has verified."""
    if ssl_object is None:
        return None
    decoded: dict[str, Any] | None = ssl_object.getpeercert()
    if not decoded:  # none was sent, or none was asked for
        return None
    subjects = [value for part in decoded.get("subject", ()) for key, value in part if key == "commonName"]
    subject = subjects[0] if len(subjects) == 1 and subjects[0].isprintable() else ""
    names = tuple(value for _, value in decoded.get("subjectAltName", ()) if isinstance(value, str))
    der: bytes = ssl_object.getpeercert(True)
    return Certificate(subject, names, hashlib.sha256(der).hexdigest(), decoded["serialNumber"])


def plain(address: str) -> str:
    """Return an IP address without what a socket adds: a scope, or IPv4 written as IPv6."""
    bare = address.partition("%")[0]
    return bare.removeprefix("::ffff:") if bare.startswith("::ffff:") and "." in bare else bare


@lru_cache(256)
def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own."""
    try:
        return ipaddress.ip_address(plain(address)).is_loopback
    except ValueError:
        return False
