"""What an app is: triggers, functions, facts, states, streams and the manifest that tells of them."""

from rimward.app.application import App
from rimward.app.lake import Lake
from rimward.app.state import State
from rimward.app.stream import Stream
from rimward.app.triggers import every, http, mqtt

__all__ = ["App", "Lake", "State", "Stream", "every", "http", "mqtt"]
