"""What an app is: triggers, functions, facts, states, streams and the manifest that tells of them."""

from rimward.app.application import App
from rimward.app.commands import CommandResult
from rimward.app.confine import Confine
from rimward.app.declarations import Part
from rimward.app.device import Device
from rimward.app.lake import Lake, Table
from rimward.app.reply import Reply
from rimward.app.state import State, States
from rimward.app.steps import Fence, Scored
from rimward.app.stream import Stream
from rimward.app.triggers import coap, cron, every, http, late, mqtt, timer, ws
from rimward.app.update import Update
from rimward.app.webhooks import webhook

__all__ = [
    "App",
    "CommandResult",
    "Confine",
    "Device",
    "Fence",
    "Lake",
    "Part",
    "Reply",
    "Scored",
    "State",
    "States",
    "Stream",
    "Table",
    "Update",
    "coap",
    "cron",
    "every",
    "http",
    "late",
    "mqtt",
    "timer",
    "webhook",
    "ws",
]
