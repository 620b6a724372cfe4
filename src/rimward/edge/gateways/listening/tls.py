"""TLS of one listener: the certificates that it shows and those that it asks for, read again at any time.

TLS 1.2 and 1.3 (RFC 5246, 8446) with forward secrecy and AEAD alone, SNI (RFC 6066 §3), ALPN (RFC 7301), CRLs
(RFC 5280 §5). No renegotiation, no compression, no early data. A context is never changed once it is in use:
reading anew makes another, so that nothing of the old one, its session tickets included, lasts.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from rimward.edge.gateways.listening.config import CertificateFiles, ListenerError, TlsConfig

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all sound
ALPN = {"mqtt": "mqtt", "http": "http/1.1", "coap+tcp": "coap"}
WARN = 14 * 86_400  # seconds before its end at which a certificate is worth a word
FIFTH = 0.2  # of its life: one that lives for a day only is not old from the start

_NO_CHECK_TIME = 0x200000  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the module ssl does not name
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

Stamp = tuple[tuple[int, int, int], ...]


class Shown(Struct, frozen=True):
    """What one of our certificates says. Times are seconds since the epoch."""

    file: str
    names: tuple[str, ...]  # lower case
    starts: float
    expires: float

    def is_old(self, now: float) -> bool:
        """Tell whether somebody should renew it."""
        return self.expires - now < min(WARN, FIFTH * (self.expires - self.starts))


class Tls:
    """The TLS side of a listener."""

    def __init__(self, name: str, protocol: str, config: TlsConfig) -> None:
        self._name = name
        self._alpn = ALPN.get(protocol)
        self._config = config
        self._stamp: Stamp = ()

    def load(self) -> None:
        """Read all files; connections that are made from now on use what they say.

        Raises:
            ListenerError: a file can't be read or used; what was in use stays in use.
        """
        stamp = self._look()
        shown: list[Shown] = []
        contexts: list[ssl.SSLContext] = []
        for files in self._config.certificates:
            contexts.append(self._context(files))
            shown.append(self._describe(files))
        by_name: dict[str, ssl.SSLContext] = {}
        for one, context in zip(shown, contexts, strict=True):
            for name in one.names:
                by_name.setdefault(name, context)
        if len(contexts) > 1:
            contexts[0].sni_callback = _chooser(by_name)
        self.context: ssl.SSLContext = contexts[0]
        self.shown: tuple[Shown, ...] = tuple(shown)
        self._stamp = stamp

    def changed(self) -> bool:
        """Tell whether a file is another than the one that was read last, or has been tried last."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp  # a file that can't be used is told once
        return True

    def _look(self) -> Stamp:
        return tuple(_stamp(path) for path in self._files())

    def _files(self) -> Iterator[str]:
        for files in self._config.certificates:
            yield files.certificate
            yield files.key
        if self._config.client_ca:
            yield self._config.client_ca
        if self._config.crl:
            yield self._config.crl

    def _context(self, files: CertificateFiles) -> ssl.SSLContext:
        config = self._config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[config.minimum_version]
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.num_tickets = 1  # a device comes back with the last one; each carries its certificate
        if self._alpn is not None:
            context.set_alpn_protocols([self._alpn])
        self._load_chain(context, files)
        context.verify_mode = _VERIFY[config.client_certificates]
        if config.client_ca:
            self._trust(context, "client_ca", config.client_ca)
        if config.crl:
            self._trust(context, "crl", config.crl)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        return context

    def _load_chain(self, context: ssl.SSLContext, files: CertificateFiles) -> None:
        try:
            context.load_cert_chain(files.certificate, files.key, self._refuse_password)
        except (OSError, ValueError) as error:
            where = f"{files.certificate} with {files.key}"
            raise ListenerError(f"listener {self._name}: tls.certificates: {where}: {_why(error)}") from None

    def _refuse_password(self) -> str:
        raise ListenerError(f"listener {self._name}: tls.certificates: a key with a passphrase can't be used")

    def _trust(self, context: ssl.SSLContext, key: str, file: str) -> None:
        before = context.cert_store_stats()
        try:
            context.load_verify_locations(file)
        except (OSError, ValueError) as error:
            raise ListenerError(f"listener {self._name}: tls.{key}: {file}: {_why(error)}") from None
        kind = "crl" if key == "crl" else "x509"
        if context.cert_store_stats()[kind] == before[kind]:
            raise ListenerError(f"listener {self._name}: tls.{key}: {file}: there is none in it")

    def _describe(self, files: CertificateFiles) -> Shown:
        """Read a certificate as a client sees it, by a handshake in memory that trusts this one alone."""
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._load_chain(server, files)
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        client.load_verify_locations(files.certificate)
        try:
            decoded = _rehearse(server, client)
        except ssl.SSLError as error:
            where = f"{files.certificate} can't be shown to clients"
            raise ListenerError(f"listener {self._name}: tls.certificates: {where}: {_why(error)}") from None
        names = tuple(
            str(value).lower()
            for kind, value in decoded.get("subjectAltName", ())
            if kind in {"DNS", "IP Address"}
        )
        starts, expires = (ssl.cert_time_to_seconds(str(decoded[key])) for key in ("notBefore", "notAfter"))
        return Shown(files.certificate, names, starts, expires)


def _chooser(by_name: dict[str, ssl.SSLContext]):  # noqa: ANN202 -- the module ssl names its type nowhere
    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        if name is None:
            return
        name = name.lower()
        found = by_name.get(name) or by_name.get("*." + name.partition(".")[2])
        if found is not None:
            connection.context = found

    return choose


def _rehearse(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours, theirs = server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up)
    waiting = [theirs, ours]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    decoded: Any = theirs.getpeercert()
    return decoded or {}


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it can't be read").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
