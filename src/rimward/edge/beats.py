"""Beats: what the node does at a steady pace, on one absolute schedule each."""

import asyncio
from collections.abc import Callable

from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.beats")


async def beat(period: float, action: Callable[[], None]) -> None:
    """Call `action` every `period` seconds for ever; beats missed while the loop was busy run once."""
    loop = asyncio.get_running_loop()
    due = loop.time() + period
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        try:
            action()
        except Exception as error:
            log.exception("a beat failed", error=type(error).__name__)
        now = loop.time()
        due += period
        if due <= now:  # missed some: the next one is in the future
            due += ((now - due) // period + 1) * period
