"""How a machine becomes a node: the string that a person carries to it, what it asks, what it is told.

The string holds a secret that is good once. The request is signed with the node's key, so that nobody enrols
a key that he does not hold; the secret travels only over a connection whose authority has the fingerprint
that the string names.
"""

import base64
import binascii
import re
from typing import Literal

import msgspec
from msgspec import Struct

from rimward.wire.lanes import HUB

PREFIX = "rimward-join-1."
JOIN_PATH, AUTHORITY_PATH = "/v1/join", "/v1/authority"
NAME_RULE = f"1 to 32 of a-z, 0-9 and -, and not {HUB!r}"
_NAME = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
Refused = Literal["unknown", "used", "expired", "taken", "full", "invalid"]


def is_node_name(name: str) -> bool:
    """Tell whether a node may be called so, as `NAME_RULE` says it: the hub's own rows are `hub`'s."""
    return _NAME.fullmatch(name) is not None and name != HUB


class JoinString(Struct, frozen=True, forbid_unknown_fields=True):
    """What a person carries from the hub to the machine that joins."""

    url: str  # of the hub's enrolment, https unless it is on loopback
    authority: str  # SHA-256 of the authority's certificate (DER), hex; empty without TLS
    secret: str
    site: str
    expires: int  # wall ns, by the hub's clock

    def encode(self) -> str:
        """Return it as one word."""
        return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "JoinString":
        """Read one.

        Raises:
            ValueError: it is none, or a part of it is missing; the message never shows it.
        """
        word = text.strip()
        if not word.startswith(PREFIX):
            raise ValueError(f"a join string begins with {PREFIX}")
        body = word.removeprefix(PREFIX)
        try:
            raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            return msgspec.json.decode(raw, type=cls)
        except (binascii.Error, msgspec.DecodeError):
            raise ValueError("the join string is damaged: copy all of it") from None


class JoinRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A node's wish to be let in."""

    secret: str
    name: str
    key: str  # its public nkey
    signature: bytes  # of `signed` by that key


def signed(secret: str, name: str, key: str) -> bytes:
    """Return the bytes that a request's signature is over."""
    return f"rimward join 1\n{secret}\n{name}\n{key}\n".encode()


class JoinReply(Struct, frozen=True, forbid_unknown_fields=True):
    """What a node is from now on, and where its rows go."""

    name: str
    site: str
    region: str
    bus: str  # address
    authority: str  # PEM of who signs the bus's certificate; empty without TLS
    tls_first: bool


class JoinRefusal(Struct, frozen=True):
    """Why not, as a word for programs and a sentence for people."""

    code: Refused
    detail: str
