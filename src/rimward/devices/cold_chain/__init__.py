"""A simulated fleet of refrigerated trucks: physics, sensors that fail, and the truth beside it.

The model is pure: no clock, no I/O. The same seed, commands and times give the same bytes.
"""

from rimward.devices.cold_chain.fleet import ColdChain, Label, Report, Sample
from rimward.devices.cold_chain.truck import CommandError

__all__ = ["ColdChain", "CommandError", "Label", "Report", "Sample"]
