"""All four layers on one machine: `rimward dev`."""

from rimward.local.dev import run
from rimward.local.errors import DevError
from rimward.local.options import DevOptions

__all__ = ["DevError", "DevOptions", "run"]
