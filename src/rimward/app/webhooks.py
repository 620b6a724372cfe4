"""Webhooks: which signature a request must have, and where the secret is that checks it.

A secret is named, never written: `env:NAME` is a variable of the node's environment, `config:FIELD` a field
of the app's settings. The node reads it when it starts; the manifest does not have it.
"""

import re
from typing import Literal

from msgspec import Struct

from rimward.app.problems import Problem
from rimward.events import Duration, seconds

Algorithm = Literal["sha256", "sha512", "sha1"]
Encoding = Literal["hex", "base64"]
_REFERENCE = re.compile(r"(?:env|config):[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


class Signed(Struct, frozen=True):
    """How a sender signs. Header names are in lower case."""

    name: str
    secret: str  # env:NAME or config:FIELD
    header: str
    kind: Literal["body", "stripe", "ed25519"] = "body"
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""  # before the signature in its header
    time_header: str | None = None  # then "{time}{separator}{body}" is signed
    separator: str = "."
    tolerance: float = 300.0  # seconds that a signed time may differ from the node's


class Webhooks:
    """The senders whose signatures are known, and `hmac` for others."""

    def github(self, *, secret: str) -> Signed:
        """`X-Hub-Signature-256`: HMAC-SHA-256 of the body. GitHub signs no time: a replay is not seen."""
        return Signed("github", _reference(secret), "x-hub-signature-256", prefix="sha256=")

    def stripe(self, *, secret: str, tolerance: Duration = "5m") -> Signed:
        """`Stripe-Signature`: HMAC-SHA-256 of time and body, scheme v1."""
        return Signed(
            "stripe", _reference(secret), "stripe-signature", "stripe", tolerance=_tolerance(tolerance)
        )

    def telnyx(self, *, public_key: str, tolerance: Duration = "5m") -> Signed:
        """`Telnyx-Signature-Ed25519` over `Telnyx-Timestamp` and body; the public key is base64."""
        return Signed(
            "telnyx",
            _reference(public_key),
            "telnyx-signature-ed25519",
            "ed25519",
            time_header="telnyx-timestamp",
            separator="|",
            tolerance=_tolerance(tolerance),
        )

    def hmac(  # noqa: PLR0913 (each is a name that the sender's documentation gives)
        self,
        *,
        secret: str,
        header: str,
        algorithm: Algorithm = "sha256",
        encoding: Encoding = "hex",
        prefix: str = "",
        timestamp: str | None = None,
        separator: str = ".",
        tolerance: Duration = "5m",
    ) -> Signed:
        """Any sender's HMAC of the body, in a header.

        Args:
            secret: `env:NAME` or `config:FIELD`.
            header: that has the signature.
            algorithm: of the HMAC.
            encoding: of the signature.
            prefix: that stands before the signature.
            timestamp: a header with seconds since the epoch; then time, separator and body are signed, and
                what is older than `tolerance` is refused.
            separator: between time and body.
            tolerance: how far the time may be off.
        """
        if algorithm not in {"sha256", "sha512", "sha1"} or encoding not in {"hex", "base64"}:
            raise Problem(
                f"webhook.hmac: {algorithm!r} in {encoding!r} is not known",
                "algorithm is sha256, sha512 or sha1, encoding is hex or base64",
            )
        return Signed(
            "hmac", _reference(secret), _header(header), "body", algorithm, encoding, prefix,
            None if timestamp is None else _header(timestamp), separator, _tolerance(tolerance),
        )  # fmt: skip


webhook: Webhooks = Webhooks()


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise Problem(
            "webhook: a secret is written into the app, or is not named as env:NAME or config:FIELD",
            'write secret="env:GITHUB_SECRET" and set that variable where the node runs',
        )
    return text


def _header(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Problem(f"webhook.hmac: {name!r} is no name of a header", 'write header="x-signature"')
    return name.lower()


def _tolerance(value: Duration) -> float:
    try:
        return seconds(value)
    except ValueError as error:
        raise Problem(f"webhook: tolerance: {error}", 'write tolerance="5m"') from None
