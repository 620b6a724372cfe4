"""Commands from the cloud to devices: what a function asks for, and what comes back as a row."""

from typing import Any

import msgspec
from msgspec import Struct

from rimward.app.facts import Fact
from rimward.events import Duration, seconds

PAYLOAD_BYTES = 64 << 10
LONGEST = 30 * 86_400.0  # seconds that a command may wait: nodes remember its key for longer
_FORBIDDEN = "/+#\0"
_encode = msgspec.json.Encoder().encode


class Order(Struct, frozen=True):
    """A command from the cloud, as a function gives it."""

    device: str
    name: str
    payload: bytes
    expires: float  # seconds from now
    timeout: float  # seconds that the device has to acknowledge
    key: str | None = None  # None: of the event and the name
    node: str | None = None  # None: the event's
    idempotent: bool = False


class CommandResult(Struct, frozen=True):
    """What became of a command from the cloud: a fact of every app, `@app.cloud(CommandResult)`.

    `outcome` is "ok" (the device acknowledged), "refused" (it, or its gateway, said no), "timeout" (no
    acknowledgement came: it may have carried the command out), "expired" (it was not given to the device in
    time) or "unknown" (the node stopped in between, and a command that is not idempotent isn't tried again).
    """

    device: str
    name: str
    key: str
    outcome: str
    detail: str = ""
    reply: bytes | None = None  # what the device acknowledged with


RESULT: Fact = Fact(CommandResult, "critical", None, name="_result")


def order(  # noqa: PLR0913 (the contract's options, each by its name)
    device: str,
    name: str,
    payload: Any,
    *,
    expires: Duration,
    timeout: Duration,
    key: str | None,
    node: str | None,
    idempotent: bool,
) -> Order:
    """Return a command, checked.

    Raises:
        ValueError: a name can't be a topic's, a duration is none or too long, or the payload is too large.
    """
    for what, text in (("device", device), ("name", name)):
        if not text or any(character in text for character in _FORBIDDEN):
            raise ValueError(f"app.command: {what} {text!r} is empty or has one of / + # NUL")
    if key is not None and not key:
        raise ValueError("app.command: key is empty; leave it out, or give one that names the command")
    lifetime, allowed = seconds(expires), seconds(timeout)
    if lifetime > LONGEST:
        raise ValueError(f"app.command: expires is {lifetime:g} s, the limit is {LONGEST:g} s (30 d)")
    body = _body(payload)
    if len(body) > PAYLOAD_BYTES:
        raise ValueError(f"app.command: a payload of {len(body)} bytes, the limit is {PAYLOAD_BYTES}")
    return Order(device, name, body, lifetime, allowed, key, node, idempotent)


def _body(payload: Any) -> bytes:
    """Return a payload: nothing as no bytes, bytes as they are, text as UTF-8, anything else as JSON."""
    if payload is None:
        return b""
    if isinstance(payload, bytes):
        return payload
    return payload.encode() if isinstance(payload, str) else _encode(payload)
