"""Signatures of webhooks: who sent a body is shown by a MAC or a signature over its bytes as they came.

Signeds: HMAC over the body (GitHub's `X-Hub-Signature-256`), HMAC over time and body (Stripe's
`Stripe-Signature`), Ed25519 over time and body (Telnyx), and an HMAC whose header is named. Comparisons take
the same time wherever two values differ. A time that is signed too refuses what is replayed later.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from functools import lru_cache

from rimward.app.webhooks import Signed

Headers = dict[str, str]  # names in lower case
MAX_SIGNATURES = 8  # of one header that are compared


def verify(signed: Signed, key: bytes, headers: Headers, body: bytes, now: float) -> str | None:
    """Return why a signature is not accepted, None where it is. `now` is seconds since the epoch."""
    given = headers.get(signed.header)
    if given is None:
        return f"the header field {signed.header} is missing"
    if signed.kind == "stripe":
        return _stripe(signed, key, given, body, now)
    content = body
    if signed.time_header is not None:
        stamp = headers.get(signed.time_header)
        if (why := _check_time(stamp, signed, now)) is not None:
            return why
        assert stamp is not None
        content = f"{stamp}{signed.separator}".encode() + body
    if signed.kind == "ed25519":
        return _ed25519(key, given, content)
    if not given.startswith(signed.prefix):
        return f"{signed.header} does not begin with {signed.prefix!r}"
    return _compare(signed, key, content, [given.removeprefix(signed.prefix)])


def _stripe(signed: Signed, key: bytes, given: str, body: bytes, now: float) -> str | None:
    pairs = [pair.strip().partition("=") for pair in given.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"][:MAX_SIGNATURES]
    stamp = stamps[0] if len(stamps) == 1 else None
    if (why := _check_time(stamp, signed, now)) is not None:
        return why
    assert stamp is not None
    return _compare(signed, key, f"{stamp}.".encode() + body, signatures)


def _check_time(stamp: str | None, signed: Signed, now: float) -> str | None:
    if stamp is None or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        return "the signature has no time, in seconds since the epoch"
    if abs(now - int(stamp)) > signed.tolerance:
        return f"the signature's time differs from ours by more than {signed.tolerance:g} s"
    return None


def _compare(signed: Signed, key: bytes, content: bytes, given: list[str]) -> str | None:
    digest = hmac.digest(key, content, signed.algorithm)
    right = digest.hex() if signed.encoding == "hex" else base64.b64encode(digest).decode("ascii")
    wanted = right.encode("ascii")
    found = False
    for one in given:  # all of them: which one fits takes no shorter time
        text = one.strip().lower() if signed.encoding == "hex" else one.strip()
        found |= hmac.compare_digest(wanted, text.encode("utf-8", "replace"))
    return None if found else "the signature does not match the body"


def _ed25519(key: bytes, given: str, content: bytes) -> str | None:
    try:
        signature = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return "the signature is not base64"
    return None if _verifier(key)(signature, content) else "the signature does not match the body"


@lru_cache(16)
def _verifier(key: bytes) -> Callable[[bytes, bytes], bool]:
    """Return what checks signatures of a public key; the library is loaded where one is used."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = Ed25519PublicKey.from_public_bytes(key)

    def check(signature: bytes, content: bytes) -> bool:
        try:
            public.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    return check
