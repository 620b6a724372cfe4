"""OSCORE [RFC 8613] without I/O: contexts from keys, messages protected and opened, replays told.

AES-CCM-16-64-128 and HKDF-SHA-256 alone, which every implementation has. Sequence numbers come from outside:
whoever hands them over has them on disk first.
"""

from rimward.protocols.coap.oscore.compressed import Compressed
from rimward.protocols.coap.oscore.context import MAX_ID, MAX_SEQUENCE, Context, Keys, context_of
from rimward.protocols.coap.oscore.messages import (
    Asking,
    open_request,
    open_response,
    protect_request,
    protect_response,
)
from rimward.protocols.coap.oscore.window import Window

__all__ = [
    "MAX_ID",
    "MAX_SEQUENCE",
    "Asking",
    "Compressed",
    "Context",
    "Keys",
    "Window",
    "context_of",
    "open_request",
    "open_response",
    "protect_request",
    "protect_response",
]
