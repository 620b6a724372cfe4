"""What gateways ask of a loop besides sockets: asyncio's has it, and so has the one of `rimward.testing`."""

from collections.abc import Callable
from typing import Protocol


class Turns(Protocol):
    """Runs things when the present turn is over."""

    def call_soon(self, callback: Callable[[], object], /) -> object:
        """Run the callback in the next turn."""
        ...
