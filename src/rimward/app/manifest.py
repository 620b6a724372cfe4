"""What an app says about itself: its facts, functions and where each runs. JSON, made before anything starts.

The hub and the deep path work from this and never import the app.
"""

from typing import Any

import msgspec
from msgspec import Struct


class Column(Struct, frozen=True):
    """One column of a fact's table.

    Types: "bool", "int64", "float64", "string", "binary", "timestamp" (microseconds, UTC), "date",
    "json" (JSON text of what is nested or mixed), or "list<TYPE>" of a scalar one.
    """

    name: str
    type: str


class Keeping(Struct, frozen=True):
    """How long a fact's rows are kept, and what gives way where there is no room."""

    retention: float | None = None  # seconds in the lake; None: for ever
    max_age: float | None = None  # seconds that a row may wait in an outbox; None: as long as there is room
    max_bytes: int | None = None  # that the fact may take of an outbox; None: as much as the outbox has
    when_full: str | None = None  # "shed-oldest", "shed-lowest" or "refuse"; None: as the node is configured
    live_first: bool = False  # what is new overtakes a backlog: the fact's rows have no order then


class FactSpec(Struct, frozen=True):
    """One type that may cross to the cloud, and its table."""

    name: str  # the Python name
    table: str  # the same in snake case
    priority: str  # "critical", "normal" or "bulk"
    locality: str | None
    columns: tuple[Column, ...]
    fingerprint: str  # 16 hexadecimal digits, of name and columns
    keeping: Keeping = Keeping()


class Capture(Struct, frozen=True):
    """One `{name}` of a topic or path."""

    name: str
    schema: dict[str, Any]  # JSON Schema


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
    priority: str = "normal"  # by which the door admits
    protocol: str | None = None  # "mqtt", "http", "ws" or "coap"; None for what no device sends
    method: str | None = None  # of HTTP and CoAP
    path: str | None = None  # the topic, or the path with its slash
    captures: tuple[Capture, ...] = ()  # of the trigger, in its order
    payload: dict[str, Any] | None = None  # JSON Schema; None where it takes none, or it has no schema
    reply: str | None = None  # name of the type that it returns
    forwards: tuple[str, ...] = ()  # tables of the facts that it forwards, or that its code names
    identity: bool = False  # takes the Device, so that it can compare what a capture says with who sent it
    window: float | None = None  # seconds of a stream's windows
    behind: tuple[str, ...] = ()  # streams whose values run it, or those that came too late
    component: str | None = None  # the file with its code, where that runs in WebAssembly
    keeps: tuple[str, ...] = ()  # globals of its module that it assigns: they end with the process


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
