"""What an app says about itself: its facts, functions and where each runs. JSON, made before anything starts.

The hub and the deep path work from this and never import the app.
"""

import msgspec
from msgspec import Struct


class Column(Struct, frozen=True):
    """One column of a fact's table.

    Types: "bool", "int64", "float64", "string", "binary", "timestamp" (microseconds, UTC), "date",
    "json" (JSON text of what is nested or mixed), or "list<TYPE>" of a scalar one.
    """

    name: str
    type: str


class FactSpec(Struct, frozen=True):
    """One type that may cross to the cloud, and its table."""

    name: str  # the Python name
    table: str  # the same in snake case
    priority: str  # "critical", "normal" or "bulk"
    locality: str | None
    columns: tuple[Column, ...]
    fingerprint: str  # 16 hexadecimal digits, of name and columns


class FunctionSpec(Struct, frozen=True):
    """One function or stream, and where it runs."""

    name: str
    layer: str  # "edge", "cloud" or "stream"
    trigger: str
    budget: float | None  # seconds
    facts: tuple[str, ...]  # tables whose rows run a cloud function
    batch: bool
    file: str
    line: int


class Manifest(Struct, frozen=True):
    """All of it."""

    app: str
    compat: str
    file: str
    digest: str  # sha256 of the app file, 16 hexadecimal digits
    facts: tuple[FactSpec, ...]
    functions: tuple[FunctionSpec, ...]


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest))


def decode(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        msgspec.ValidationError: it has not the form of one; the message names the path.
    """
    return msgspec.json.decode(data, type=Manifest)
