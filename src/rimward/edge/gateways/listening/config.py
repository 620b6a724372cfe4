"""Listeners as configuration: where each listens, what it speaks, and what TLS and proxies it expects."""

import ipaddress
import re
from typing import Literal

from msgspec import Struct

from rimward.events import RimwardError
from rimward_supervisor.listeners import TCP, UDP, UNIX, Address

DATAGRAMS = frozenset({"coap"})  # protocols over UDP; all others are streams
ANY_UNIX = "unix"  # in `proxy_protocol_from`: whoever may open the Unix socket

_PORT = re.compile(r"\d{1,5}")
_MODE = re.compile(r"0[0-7]{3}")


class ListenerError(RimwardError):
    """A listener can't be as it is configured; the message names it, the key and the rule."""

    code = "listener"


class CertificateFiles(Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate with its chain, and its key: two PEM files, or twice the same."""

    certificate: str
    key: str


class TlsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS of one listener. All files are PEM and read again when they change."""

    certificates: tuple[CertificateFiles, ...]  # chosen by the name that a client asks for, else the first
    client_ca: str = ""  # who signs the clients' certificates
    client_certificates: Literal["none", "optional", "required"] = "none"
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    crl: str = ""  # certificates that the CA has revoked


class ListenerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One listener; its name is its key in the node's configuration."""

    protocol: str  # "mqtt", "http", "coap" or "coap+tcp"
    address: str = ""  # "host:port" or "unix:/path"; only the supervisor's descriptor can do without
    mode: str = "0600"  # of a Unix socket's file: whoever may write it may connect
    tls: TlsConfig | None = None
    proxy_protocol_from: tuple[str, ...] = ()  # networks whose connections all begin with a PROXY v2 header


class AcceptConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What connections may cost before a gateway has them; reaching a limit is counted."""

    handshakes: int = 64  # TLS handshakes in flight
    handshake_timeout: float = 10.0  # seconds from the first byte to the end of the handshake
    waiting: int = 1024  # connections that still owe their PROXY header or first byte; and handshakes
    first_byte_timeout: float = 10.0  # seconds from the connection to that
    files: float = 5.0  # seconds between two looks whether certificates have changed


def check(name: str, listener: ListenerConfig) -> None:
    """Refuse what makes no sense.

    Raises:
        ListenerError: a key's value breaks a rule.
    """
    address = address_of(name, listener) if listener.address else None
    networks_of(name, listener)
    if listener.protocol in DATAGRAMS:
        if listener.tls is not None:
            raise ListenerError(f"listener {name}: tls: {listener.protocol} runs over UDP")
        if listener.proxy_protocol_from:
            raise ListenerError(f"listener {name}: proxy_protocol_from: {listener.protocol} runs over UDP")
        if address is not None and address.kind == UNIX:
            raise ListenerError(f"listener {name}: address: {listener.protocol} has no Unix socket")
    if listener.tls is not None:
        _check_tls(name, listener.tls)


def _check_tls(name: str, tls: TlsConfig) -> None:
    if not tls.certificates:
        raise ListenerError(f"listener {name}: tls.certificates: at least one is needed")
    if tls.client_certificates != "none" and not tls.client_ca:
        raise ListenerError(
            f"listener {name}: tls.client_ca: client_certificates {tls.client_certificates!r} needs a file"
        )
    if tls.client_certificates == "none" and (tls.client_ca or tls.crl):
        key = "client_ca" if tls.client_ca else "crl"
        raise ListenerError(f"listener {name}: tls.{key}: it says nothing while client_certificates is none")


def address_of(name: str, listener: ListenerConfig) -> Address:
    """Return where to listen.

    Raises:
        ListenerError: the address or the mode is not written as one.
    """
    text = listener.address
    if not _MODE.fullmatch(listener.mode):
        raise ListenerError(f"listener {name}: mode: {listener.mode!r} is not four octal digits such as 0660")
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ListenerError(f"listener {name}: address: {text!r} has no absolute path after unix:")
        return Address(UNIX, path=text.removeprefix("unix:"), mode=int(listener.mode, 8))
    host, colon, port = text.rpartition(":")
    bare = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        family = ipaddress.ip_address(bare).version
    except ValueError:
        raise ListenerError(
            f"listener {name}: address: {text!r} is neither IP:port, localhost:port nor unix:/path"
        ) from None
    if not colon or not _PORT.fullmatch(port) or int(port) > 65_535 or (family == 6) != (host[:1] == "["):
        raise ListenerError(f"listener {name}: address: {text!r} is not such as 127.0.0.1:1883 or [::1]:1883")
    return Address(UDP if listener.protocol in DATAGRAMS else TCP, bare, int(port))


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of(name: str, listener: ListenerConfig) -> tuple[Network, ...]:
    """Return the networks of `proxy_protocol_from`.

    Raises:
        ListenerError: one is not written as a network.
    """
    found: list[Network] = []
    for text in listener.proxy_protocol_from:
        if text == ANY_UNIX:
            continue
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ListenerError(f"listener {name}: proxy_protocol_from: {error}") from None
    return tuple(found)
