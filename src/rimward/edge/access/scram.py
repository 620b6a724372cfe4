"""What SCRAM-SHA-256 keeps of a password [RFC 5802 §3, RFC 7677]; the exchange itself is the gateway's."""

import hashlib
import hmac
import os

from rimward.edge.access.file import ScramKeys

ITERATIONS = 16_384  # of PBKDF2, which the device has to do as well: argon2 is the better choice where TLS is
SALT = 16  # bytes


def scram_keys(password: bytes, salt: bytes | None = None, iterations: int = ITERATIONS) -> ScramKeys:
    """Return the keys of a password, which is taken as it is: normalise it [RFC 4013] before."""
    salt = os.urandom(SALT) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return ScramKeys(salt, iterations, stored, hmac.digest(salted, b"Server Key", "sha256"))
