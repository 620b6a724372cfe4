"""Keys by which a node or a hub proves itself to the bus: Ed25519, written as NATS writes nkeys.

A text is base32 of a prefix, 32 bytes and their CRC-16 (XMODEM), least significant byte first. The seed is
the secret; it lies in a file that only its owner can read, and is never sent.
Most processes have a password and no key: what computes with keys is imported with the first of them.
"""

import base64
import secrets
from binascii import crc_hqx
from pathlib import Path

from rimward.events import RimwardError
from rimward.network.secretfile import write_secret

_SEED, _USER = 18 << 3, 20 << 3  # the prefixes, which come out as S and U
_SEED_LENGTH, _PUBLIC_LENGTH = 58, 56  # characters


class NoKey(RimwardError):
    """A text or file is no key; the message says which and why, and never what stands there."""

    code = "key"


class Key:
    """A user's key: it signs, and never shows its seed but to `write`."""

    __slots__ = ("_private", "_seed", "public")

    def __init__(self, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._seed = seed  # 32 bytes
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes_raw()
        self.public: str = _text(bytes((_USER,)) + raw)  # U…

    def __repr__(self) -> str:
        return f"Key({self.public})"

    def sign(self, data: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._private.sign(data)

    def write(self, path: Path) -> None:
        """Write the seed where only the owner can read it, on stable storage; the old or the new is there.

        Raises:
            OSError: the disk refused it.
        """
        head = bytes((_SEED | _USER >> 5, (_USER & 31) << 3))
        write_secret(path, _text(head + self._seed).encode() + b"\n")


def new_key() -> Key:
    """Return a key that nobody else has."""
    return Key(secrets.token_bytes(32))


def parse_seed(text: str, where: str = "the text") -> Key:
    """Read a user's seed, SU….

    Raises:
        NoKey: it is none.
    """
    raw = _raw(text.strip(), _SEED_LENGTH, where)
    prefix, kind = raw[0] & 0xF8, (raw[0] & 7) << 5 | raw[1] >> 3
    if prefix != _SEED or kind != _USER:
        raise NoKey(f"{where} is no seed of a user, which begins with SU")
    return Key(raw[2:])


def read_key(path: Path) -> Key:
    """Read the seed in a file.

    Raises:
        NoKey: it is none, or can't be read.
    """
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise NoKey(f"the key {path} can't be read: {reason}") from None
    return parse_seed(text, str(path))


def is_public(text: str) -> bool:
    """Tell whether a text is a user's public key, U…."""
    try:
        return _raw(text, _PUBLIC_LENGTH, "")[0] == _USER
    except NoKey:
        return False


def verify(public: str, signature: bytes, data: bytes) -> bool:
    """Tell whether the owner of a public key signed the data."""
    if not is_public(public):
        return False
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(_raw(public, _PUBLIC_LENGTH, "")[1:]).verify(signature, data)
    except InvalidSignature:
        return False
    return True


def _text(raw: bytes) -> str:
    return base64.b32encode(raw + crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")


def _raw(text: str, length: int, where: str) -> bytes:
    """Return what a text stands for, without its check sum."""
    try:
        raw = base64.b32decode(text + "=" * (-length % 8)) if len(text) == length else b""
    except ValueError:
        raw = b""
    if not raw:
        raise NoKey(f"{where} is no key of {length} characters in base32")
    if crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little") or _text(raw[:-2]) != text:
        raise NoKey(f"{where} is damaged: its check sum does not fit")
    return raw[:-2]
