"""Becoming a node: a key of one's own, and a hub that knows it.

Everything is kept in DATA/identity: `node.key` (the secret, written before anything is asked, so that a lost
answer can be asked for again with the same key), `authority.pem` and `node.json`.
"""

import hashlib
import http.client
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct

from rimward.events import RimwardError
from rimward.network.config import BusAccess
from rimward.network.nkeys import Key, new_key, read_key
from rimward.network.secretfile import write_secret
from rimward.wire.joining import (
    AUTHORITY_PATH,
    JOIN_PATH,
    NAME_RULE,
    JoinRefusal,
    JoinReply,
    JoinRequest,
    JoinString,
    is_node_name,
    signed,
)

TIMEOUT = 10.0  # seconds for each step with the hub
ANSWER_BYTES = 64 << 10
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class JoinError(RimwardError):
    """This machine did not become a node; the message says why and what to do."""

    code = "join"


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Who a node is and where its rows go."""

    name: str
    site: str
    region: str
    bus: str  # address
    tls_first: bool = False


class IdentityFolder:
    """DATA/identity."""

    def __init__(self, data: Path) -> None:
        self.root: Path = data.absolute() / "identity"
        self.key: Path = self.root / "node.key"
        self.authority: Path = self.root / "authority.pem"
        self._file = self.root / "node.json"

    def read(self) -> Identity | None:
        """Return who the node is; None where it has not joined.

        Raises:
            JoinError: the file makes no sense.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Identity)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise JoinError(f"{self._file} can't be used ({error}): join again in another folder") from None

    def access(self, identity: Identity) -> BusAccess:
        """Return the node's way into the bus."""
        ca = str(self.authority) if self.authority.exists() else ""
        return BusAccess(identity.bus, credentials=str(self.key), ca=ca, tls_first=identity.tls_first)

    def own_key(self) -> Key:
        """Return the node's key, made where there is none."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.key.exists():
            return read_key(self.key)
        key = new_key()
        key.write(self.key)
        return key

    def write(self, reply: JoinReply) -> Identity:
        """Keep what the hub said."""
        identity = Identity(reply.name, reply.site, reply.region, reply.bus, reply.tls_first)
        if reply.authority:
            write_secret(self.authority, reply.authority.encode())
        write_secret(self._file, msgspec.json.encode(identity))  # last: with it the node has joined
        return identity


def join(text: str, name: str, data: Path) -> Identity:
    """Become a node of the hub that made the join string.

    Raises:
        JoinError: the string is none, the hub can't be reached or is another one, or it refuses.
        NoKey: the key that is here can't be used.
        OSError: the disk refused it.
    """
    try:
        string = JoinString.decode(text)
    except ValueError as error:
        raise JoinError(f"{error}: rimward hub token makes one, on the hub's machine") from None
    if not is_node_name(name):
        raise JoinError(f"{name!r} is no node's name, which is {NAME_RULE}: choose another")
    folder = IdentityFolder(data)
    if (known := folder.read()) is not None:
        raise JoinError(f"{data} is the node {known.name!r} already: choose another folder with --data DIR")
    hub = _Hub(string)
    key = folder.own_key()
    signature = key.sign(signed(string.secret, name, key.public))
    reply = hub.ask(JoinRequest(string.secret, name, key.public, signature))
    if _fingerprint(reply.authority) != string.authority:
        raise JoinError("the hub names another authority than its join string: ask for a new one")
    return folder.write(reply)


class _Hub:
    """The hub behind a join string, and no other."""

    def __init__(self, string: JoinString) -> None:
        self._string = string
        self._url: SplitResult = urlsplit(string.url)
        if self._url.scheme not in {"http", "https"} or not self._url.hostname:
            raise JoinError(f"the join string's address {string.url!r} is none: ask for a new one")
        if self._url.scheme == "http" and self._url.hostname not in LOOPBACK:
            raise JoinError(f"{string.url} is neither TLS nor this machine: ask for a join string with https")
        self._context = self._believed() if self._url.scheme == "https" else None

    def ask(self, request: JoinRequest) -> JoinReply:
        """Ask to be let in.

        Raises:
            JoinError: it refuses, or can't be reached.
        """
        status, body = self._exchange("POST", JOIN_PATH, msgspec.json.encode(request), self._context)
        try:
            if status == http.client.OK:
                return msgspec.json.decode(body, type=JoinReply)
            refusal = msgspec.json.decode(body, type=JoinRefusal)
        except msgspec.DecodeError:
            raise JoinError(f"{self._string.url} answered {status}, which is no hub's: try again") from None
        raise JoinError(f"the hub refuses ({refusal.code}): {refusal.detail}")

    def _believed(self) -> ssl.SSLContext:
        """Return a context that trusts the authority with the string's fingerprint alone.

        The authority itself comes over a connection that nobody vouches for, which carries no secret.
        """
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        status, pem = self._exchange("GET", AUTHORITY_PATH, None, blind)
        text = pem.decode("ascii", "replace")
        if status != http.client.OK or _fingerprint(text) != self._string.authority:
            raise JoinError(
                f"what answers at {self._string.url} is not the hub that made the join string: "
                "somebody stands between, or the hub was set up anew; ask for a new one"
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=text)
        return context

    def _exchange(
        self, method: str, path: str, body: bytes | None, context: ssl.SSLContext | None
    ) -> tuple[int, bytes]:
        host, port = str(self._url.hostname), self._url.port
        connection = (
            http.client.HTTPConnection(host, port, timeout=TIMEOUT)
            if context is None
            else http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        )
        headers: dict[str, Any] = {} if body is None else {"content-type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise JoinError(
                f"the hub at {self._string.url} can't be reached ({reason}): "
                "try again, the join string is still good"
            ) from None
        finally:
            connection.close()


def _fingerprint(pem: str) -> str:
    """Return the SHA-256 of the certificate in a PEM, hex; empty where there is none."""
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest() if pem else ""
    except ValueError:
        return ""
