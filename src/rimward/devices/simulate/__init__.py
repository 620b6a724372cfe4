"""Plausible devices made from an app's manifest: `python -m rimward.devices.simulate`."""

from rimward.devices.simulate.scripts import Example, example, simulated

__all__ = ["Example", "example", "simulated"]
