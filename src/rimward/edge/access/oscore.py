"""OSCORE's keys in the access file [RFC 8613 §3.2], named from the node's side; everything in hexadecimal."""

import re
from collections.abc import Iterator

from msgspec import Struct

from rimward.protocols.coap.oscore import MAX_ID, Keys

MIN_SECRET, MAX_SECRET = 16, 64  # bytes
MAX_SALT = 64
MAX_CONTEXT = 32
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


class OscoreKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """What a device and the node share."""

    sender: str  # the node's id, which the device has as its recipient id
    recipient: str  # the device's id, which its requests name
    secret: str
    salt: str = ""
    context: str | None = None  # ID Context

    def keys(self) -> Keys:
        """Return them as bytes."""
        context = None if self.context is None else bytes.fromhex(self.context)
        ids = bytes.fromhex(self.sender), bytes.fromhex(self.recipient)
        return Keys(*ids, bytes.fromhex(self.secret), bytes.fromhex(self.salt), context)


def oscore_problems(keys: OscoreKeys) -> Iterator[tuple[str, object, str]]:
    """Yield what is wrong: key, value and the rule that it breaks."""
    bounds = (
        ("sender", 0, MAX_ID), ("recipient", 0, MAX_ID), ("secret", MIN_SECRET, MAX_SECRET),
        ("salt", 0, MAX_SALT), ("context", 0, MAX_CONTEXT),
    )  # fmt: skip
    for key, low, high in bounds:
        text: str | None = getattr(keys, key)
        if text is None:
            continue
        if _HEX.fullmatch(text) is None or not low <= len(text) // 2 <= high:
            yield key, text, f"it is not {low} to {high} bytes as hexadecimal digits in lower case"
            return
    if keys.sender == keys.recipient:
        yield "sender", keys.sender, "it is the recipient too: both ends would use one key"


def made(recipient: bytes, secret: bytes, salt: bytes) -> OscoreKeys:
    """Return keys for a new device: the node's own id is empty, which is the shortest."""
    return OscoreKeys("", recipient.hex(), secret.hex(), salt.hex())
