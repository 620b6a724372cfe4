"""Recordings as devices: each with its own connection and clock."""

from rimward.devices.replay.player import Fleet, Pace, Player
from rimward.devices.replay.report import Counts, Report, RoundTrip
from rimward.devices.replay.scripts import Script, Step, from_lines, wearables

__all__ = [
    "Counts",
    "Fleet",
    "Pace",
    "Player",
    "Report",
    "RoundTrip",
    "Script",
    "Step",
    "from_lines",
    "wearables",
]
