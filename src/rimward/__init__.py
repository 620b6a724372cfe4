"""Rimward: compute where events happen. What an app file imports, and nothing else."""

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
    every,
    http,
    mqtt,
)
from rimward.events import (
    CommandTimeout,
    Event,
    LoadError,
    NoNode,
    NotConnected,
    OutboxFull,
    Reject,
    RimwardError,
)

__all__ = [
    "App",
    "CommandTimeout",
    "Device",
    "Event",
    "Lake",
    "LoadError",
    "NoNode",
    "NotConnected",
    "OutboxFull",
    "Part",
    "Reject",
    "Reply",
    "RimwardError",
    "State",
    "States",
    "Stream",
    "Table",
    "every",
    "http",
    "mqtt",
]
