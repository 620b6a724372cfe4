"""Rimward: compute where events happen. What an app file imports, and nothing else."""

# ruff: noqa: E402 (what is asked for here decides which modules are imported)
import rimward.pure as _pure

_pure.prefer_sources()

from rimward.app import (
    App,
    Device,
    Lake,
    Part,
    Reply,
    State,
    States,
    Stream,
    Table,
    Update,
    coap,
    every,
    http,
    mqtt,
    webhook,
    ws,
)
from rimward.events import (
    CloudEvent,
    CloudEventError,
    CommandTimeout,
    Event,
    LoadError,
    NoNode,
    NotConnected,
    OutboxBroken,
    OutboxFull,
    Reject,
    RimwardError,
    RowTooLarge,
)

__all__ = [
    "App",
    "CloudEvent",
    "CloudEventError",
    "CommandTimeout",
    "Device",
    "Event",
    "Lake",
    "LoadError",
    "NoNode",
    "NotConnected",
    "OutboxBroken",
    "OutboxFull",
    "Part",
    "Reject",
    "Reply",
    "RimwardError",
    "RowTooLarge",
    "State",
    "States",
    "Stream",
    "Table",
    "Update",
    "coap",
    "every",
    "http",
    "mqtt",
    "webhook",
    "ws",
]
