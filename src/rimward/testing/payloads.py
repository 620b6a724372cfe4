"""Payloads read without knowing their type."""

from typing import Any

import msgspec


def read(payload: bytes) -> Any:
    """Return JSON's value where it is JSON, else text, else bytes."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload
