"""Cancellations: heeded where the bus's client swallows them, and not lost by our own waiting.

`asyncio.wait_for` of Python 3.11 loses a cancellation that comes as what it waits for is done
(python/cpython#86296): a task that was to end goes on for ever. We wait with `asyncio.timeout`, and where a
task may already be cancelled, with `finish`.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


def heed_cancellation() -> None:
    """Raise a cancellation that the bus's client has swallowed."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def finish(last: Coroutine[Any, Any, object], patience: float) -> bool:
    """Do the last thing within so many seconds; return whether it was done. It raises nothing of its own."""
    task = asyncio.ensure_future(last)
    await asyncio.wait({task}, timeout=patience)
    if not task.done():
        task.cancel()
        return False
    return not task.cancelled() and task.exception() is None
