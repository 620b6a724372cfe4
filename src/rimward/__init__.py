"""Rimward: compute where events happen. What an app file imports, and nothing else."""

from rimward.app import App, Lake, State, Stream, every, http, mqtt
from rimward.events import Event, LoadError, NoNode, OutboxFull, Reject, RimwardError

__all__ = [
    "App",
    "Event",
    "Lake",
    "LoadError",
    "NoNode",
    "OutboxFull",
    "Reject",
    "RimwardError",
    "State",
    "Stream",
    "every",
    "http",
    "mqtt",
]
