"""Effects: what a function asks its node to do. The app finds its node by context, never by a global."""

from contextvars import ContextVar
from typing import Any, Protocol

import msgspec

from rimward.events import NoNode


class Effects(Protocol):
    """Where a running call leaves its effects; they are released when the call returns."""

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Hold an action to the topic's subscribers."""
        ...

    def forward(self, fact: msgspec.Struct) -> None:
        """Hold a fact for the cloud; raises OutboxFull where there is no room."""
        ...

    def now(self) -> int:
        """Return the node's wall clock, ns since the epoch."""
        ...


current: ContextVar[Effects | None] = ContextVar("rimward_effects", default=None)


def effects(verb: str) -> Effects:
    """Return the running call's effects.

    Raises:
        NoNode: nothing runs in this context.
    """
    found = current.get()
    if found is None:
        raise NoNode(
            f"app.{verb} was called outside a node; call it inside a function that a node runs, "
            "or use rimward dev"
        )
    return found


def encode_payload(payload: Any) -> bytes:
    """Return an action's payload: bytes as they are, text as UTF-8, anything else as JSON."""
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        return payload.encode()
    return msgspec.json.encode(payload)
