"""Security contexts [RFC 8613 §3]: keys and nonces of one pair of endpoints, derived from what they share."""

import hmac
from hashlib import sha256
from typing import Protocol

from msgspec import Struct

MAX_ID = 7  # bytes of a sender's or recipient's id: a nonce's 13 without 6 [§3.3]
MAX_SEQUENCE = (1 << 40) - 1  # a sender sequence number behind it is none [§7.2.1]
_KEY, _NONCE, _TAG = 16, 13, 8  # bytes
_ALGORITHM = 10  # AES-CCM-16-64-128 [RFC 9053 §4.2]
_NIL = b"\xf6"


class Keys(Struct, frozen=True):
    """What two endpoints share, from the side of one of them."""

    sender: bytes  # id of this endpoint
    recipient: bytes  # id of the other
    secret: bytes
    salt: bytes = b""
    context: bytes | None = None  # ID Context


class Cipher(Protocol):
    """An AEAD with its key."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...


class Context:
    """What is derived of keys; the sequence numbers are elsewhere."""

    def __init__(self, keys: Keys) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESCCM  # start-up goes without it

        self.keys: Keys = keys
        self.sender_key: bytes = _derived(keys, keys.sender, "Key", _KEY)
        self.recipient_key: bytes = _derived(keys, keys.recipient, "Key", _KEY)
        self.common_iv: bytes = _derived(keys, b"", "IV", _NONCE)
        self.sending: Cipher = AESCCM(self.sender_key, tag_length=_TAG)
        self.receiving: Cipher = AESCCM(self.recipient_key, tag_length=_TAG)
        self.name: str = sha256(self.sender_key).hexdigest()[:32]  # what its sequence numbers are kept by

    def nonce(self, sender: bytes, piv: bytes) -> bytes:
        """Return the nonce of a partial IV that the endpoint `sender` has made [§5.2]."""
        padded = bytes((len(sender),)) + sender.rjust(_NONCE - 6, b"\0") + piv.rjust(5, b"\0")
        return bytes(one ^ other for one, other in zip(padded, self.common_iv, strict=True))


def context_of(keys: Keys) -> Context:
    """Return the context of keys."""
    return Context(keys)


def aad_of(kid: bytes, piv: bytes) -> bytes:
    """Return what a message is authenticated with beside its content: the request's id and IV [§5.4]."""
    external = b"\x85\x01\x81" + bytes((_ALGORITHM,)) + _bytes(kid) + _bytes(piv) + _bytes(b"")
    return b"\x83" + _text("Encrypt0") + _bytes(b"") + _bytes(external)


def _derived(keys: Keys, name: bytes, kind: str, size: int) -> bytes:
    """Return a key or the common IV: HKDF-SHA-256 [§3.2.1, RFC 5869], of which one block is enough."""
    context = _NIL if keys.context is None else _bytes(keys.context)
    info = b"\x85" + _bytes(name) + context + bytes((_ALGORITHM,)) + _text(kind) + bytes((size,))
    extracted = hmac.digest(keys.salt or bytes(32), keys.secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:size]


def _bytes(value: bytes) -> bytes:
    """Return a byte string in CBOR [RFC 8949 §3]; none here has more than 255 bytes."""
    return _head(0x40, len(value)) + value


def _text(value: str) -> bytes:
    return _head(0x60, len(value)) + value.encode()


def _head(kind: int, size: int) -> bytes:
    return bytes((kind | size,)) if size < 24 else bytes((kind | 24, size))
