"""The server's side of SCRAM-SHA-256 [RFC 5802, RFC 7677], without I/O: bytes in, bytes out.

No channel binding and no identity but the user's own: who asks for either is refused. The password itself is
never here; what is kept of it is in `Keys`.
"""

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata
from collections.abc import Callable
from typing import ClassVar, Protocol

from rimward.events import RimwardError

METHOD = "SCRAM-SHA-256"
MAX_MESSAGE = 4096  # bytes of one message of the client
_PROHIBITED: tuple[Callable[[str], bool], ...] = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class Keys(Protocol):
    """What a server keeps of a password [RFC 5802 §3]."""

    @property
    def salt(self) -> bytes:
        """Return the salt."""
        ...

    @property
    def iterations(self) -> int:
        """Return how often it was hashed."""
        ...

    @property
    def stored_key(self) -> bytes:
        """Return the hash of the client's key."""
        ...

    @property
    def server_key(self) -> bytes:
        """Return the server's key."""
        ...


class ScramError(RimwardError):
    """What a client sent is not as the standard says, or proves nothing."""

    code: ClassVar[str] = "scram"

    def __init__(self, detail: str, *, malformed: bool) -> None:
        super().__init__(detail)
        self.malformed = malformed  # it breaks the exchange's rules; else the proof is wrong


class ScramServer:
    """One exchange: `first`, then `keys` by the `username`, then `challenge`, then `final`."""

    __slots__ = ("_auth_message", "_bare", "_header", "_keys", "_nonce", "username")

    def __init__(self) -> None:
        self.username = ""  # prepared as RFC 4013 says
        self._header = b""  # of GS2, as it came
        self._bare = ""  # the client's first message behind it
        self._nonce = ""
        self._auth_message = ""
        self._keys: Keys | None = None

    def first(self, data: bytes) -> str:
        """Take the client's first message and return the user's name.

        Raises:
            ScramError: it is not one, or asks for what is not offered.
        """
        text = _text(data)
        binding, _, rest = text.partition(",")
        authzid, comma, bare = rest.partition(",")
        if binding not in {"n", "y"} or not comma:
            raise _malformed("channel binding is not offered" if binding[:2] == "p=" else "no GS2 header")
        parts = bare.split(",")
        if len(parts) < 2 or not parts[0].startswith("n=") or not _is_nonce(parts[1], "r="):
            raise _malformed("the first message is not n= and r=")
        name = _name(parts[0][2:])
        if authzid and (not authzid.startswith("a=") or _name(authzid[2:]) != name):
            raise _malformed("another identity than the user's own is not offered")
        self.username: str = saslprep(name)
        self._header: bytes = f"{binding},{authzid},".encode()
        self._bare: str = bare
        self._nonce: str = parts[1][2:]
        return self.username

    def challenge(self, keys: Keys, nonce: str) -> bytes:
        """Return the server's first message. `nonce` is random and printable, without comma."""
        self._keys = keys
        self._nonce += nonce
        salt = base64.b64encode(keys.salt).decode()
        message = f"r={self._nonce},s={salt},i={keys.iterations}"
        self._auth_message: str = f"{self._bare},{message}"
        return message.encode()

    def final(self, data: bytes) -> bytes:
        """Take the client's proof and return the server's.

        Raises:
            ScramError: it is not one, or it is wrong.
        """
        keys = self._keys
        assert keys is not None, "challenge comes before final"
        without, separator, proof = _text(data).rpartition(",p=")
        parts = without.split(",")
        if not separator or len(parts) < 2:
            raise _malformed("the final message is not c=, r= and p=")
        if parts[0] != "c=" + base64.b64encode(self._header).decode():
            raise _malformed("the final message has another GS2 header than the first one")
        if parts[1] != "r=" + self._nonce:
            raise _malformed("the final message has another nonce than the exchange")
        message = f"{self._auth_message},{without}".encode()
        signature = hmac.digest(keys.stored_key, message, "sha256")
        client_key = bytes(a ^ b for a, b in zip(_proof(proof), signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key):
            raise ScramError("the proof is wrong", malformed=False)
        return b"v=" + base64.b64encode(hmac.digest(keys.server_key, message, "sha256"))


def saslprep(text: str) -> str:
    """Return a name or password in the form in which both sides hash it [RFC 4013].

    Raises:
        ScramError: it has what the profile prohibits.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if any(stringprep.in_table_a1(c) or any(table(c) for table in _PROHIBITED) for c in prepared):
        raise _malformed("a name has a character that RFC 4013 prohibits")
    right = [stringprep.in_table_d1(character) for character in prepared]
    if any(right) and (
        any(map(stringprep.in_table_d2, prepared)) or not right[0] or not right[-1]
    ):  # [RFC 3454 §6]
        raise _malformed("a name runs in both directions")
    return prepared


def _text(data: bytes) -> str:
    if len(data) > MAX_MESSAGE:
        raise _malformed(f"a message has {len(data)} bytes, the limit is {MAX_MESSAGE}")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _malformed("a message is not UTF-8") from None
    if "\0" in text:
        raise _malformed("a message has a NUL")
    return text


def _is_nonce(part: str, key: str) -> bool:
    return part.startswith(key) and len(part) > len(key) and part.isascii() and part.isprintable()


def _name(text: str) -> str:
    """Return a name with its two escapes resolved [RFC 5802 §5.1]."""
    for escape in text.split("=")[1:]:
        if not escape.startswith(("2C", "3D")):
            raise _malformed("a name has = that is neither =2C nor =3D")
    if not text:
        raise _malformed("a name is empty")
    return text.replace("=2C", ",").replace("=3D", "=")


def _proof(text: str) -> bytes:
    try:
        proof = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _malformed("a proof is not base64") from None
    if len(proof) != hashlib.sha256().digest_size:
        raise _malformed(f"a proof has {len(proof)} bytes, not 32")
    return proof


def _malformed(detail: str) -> ScramError:
    return ScramError(detail, malformed=True)
